"""What the files of a study hold, as frozen records; ``readers`` reads them, ``plan`` has those of the plan.

plan = read_plan(DIR)
for run in runs_of(DIR, plan):
    for fit in read_fits(run.paths): ...
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ...config import require
from .plan import BASELINES, PROMPT, VANILLA, PlannedData, Run, StudyCell, StudyPlan, runs_of

__all__ = [
    "BASELINES",
    "PROMPT",
    "VANILLA",
    "ChosenStrength",
    "Failure",
    "FitRecord",
    "PlannedData",
    "ResultRow",
    "RivalRecord",
    "Run",
    "StudyCell",
    "StudyPlan",
    "TextRow",
    "plain_rows",
    "runs_of",
]


@dataclass(frozen=True, slots=True)
class FitRecord:
    """How well a curve describes a sweep.

    Attributes:
        kind: ``preference`` or ``utility``.
        fitted_on: split whose points the curve was fitted to.
        split: split on whose points R2 is measured: the same (Tables 2 and 5), or test (Table 6).
        r2: coefficient of determination; None where there is no fit.
        points: swept m.
        params: parameters of the curve.
        problem: why there is no fit; empty where there is one.
    """

    kind: str
    fitted_on: str
    split: str
    r2: float | None
    points: int
    params: dict[str, Any] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class RivalRecord:
    """How well one kind of curve describes a sweep of training pairs, the paper's or a rival.

    Attributes:
        kind: ``preference`` or ``utility``.
        curve: its name, see ``analysis.fit.rivals``.
        r2: coefficient of determination; None where it is not finite.
        bic: Bayesian information criterion, lower is better; None likewise.
    """

    kind: str
    curve: str
    r2: float | None
    bic: float | None


@dataclass(frozen=True, slots=True)
class ChosenStrength:
    """One of the m at which test prompts are answered.

    Attributes:
        name: ``published``, ``best`` or ``recommended``.
        m: None where none could be chosen.
        r: the same in natural units; None where m is, or where it was not measured.
        reason: what chose it, or why there is none.
        score: mean score on dev prompts, for ``best``.
    """

    name: str
    m: float | None
    r: float | None
    reason: str
    score: float | None = None


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One generated answer, in EasyEdit2's layout of ``*_results.json``, with what identifies it.

    Attributes:
        input: the prompt.
        orig_pred: the unsteered answers, one.
        pred: the steered answers, one.
        reference_response: the pair's positive answer.
        complete_output: prompt and answer.
        pair: row number of the pair in its file.
        concept: of the pair; empty where there is one.
        m: strength.
        ended: the model ended the answer, not the longest length allowed.
        orig_ended: the same of the unsteered one.
    """

    input: str
    orig_pred: tuple[str, ...]
    pred: tuple[str, ...]
    reference_response: str
    complete_output: tuple[str, ...]
    pair: int
    concept: str = ""
    m: float = 0.0
    ended: bool = True
    orig_ended: bool = True

    def __post_init__(self) -> None:
        require(len(self.pred) == 1, f"pred holds {len(self.pred)} answers, wanted one")


@dataclass(frozen=True, slots=True)
class TextRow:
    """One answer of the texts over m.

    Attributes:
        m: strength.
        r: the same in natural units; None where it was not measured.
        concept: empty where there is one.
        prompt: the question.
        text: the answer.
    """

    m: float
    r: float | None
    concept: str
    prompt: str
    text: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run has no artifact.

    Attributes:
        reason: one sentence.
    """

    reason: str


def plain_rows(records: Sequence[Any]) -> list[dict[str, Any]]:
    """Records as plain values for a JSON file.

    Args:
        records: any number of this module's records.
    """
    return [asdict(record) for record in records]
