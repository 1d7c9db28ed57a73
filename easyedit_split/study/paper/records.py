"""What the files of a study hold, as frozen records; ``readers`` reads them.

plan = read_plan(DIR)
for run in runs_of(DIR, plan):
    for fit in read_fits(run.paths): ...
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...config import require
from ...steering.concept_folders import folder_names
from .layout import RUNS, RunPaths

VANILLA, PROMPT = "vanilla", "prompt"
BASELINES = (VANILLA, PROMPT)


@dataclass(frozen=True, slots=True)
class StudyCell:
    """One row of the paper's Table 3: a form and an objective, or a baseline.

    Attributes:
        form: a registered form; empty for a baseline.
        objective: a registered objective; ``vanilla`` or ``prompt`` for a baseline.
    """

    form: str
    objective: str

    @property
    def name(self) -> str:
        """Name in paths and messages: ``vector-split``, ``vanilla``."""
        return f"{self.form}-{self.objective}" if self.form else self.objective

    @property
    def baseline(self) -> bool:
        """Whether nothing is trained."""
        return not self.form


@dataclass(frozen=True, slots=True)
class PlannedData:
    """One dataset of a study, and how its texts are judged.

    Attributes:
        name: as ``load_dataset`` takes it, e.g. ``testbed:power`` or ``powerseeking:data``.
        judges: what judges its texts, the first one choosing m; a registered judge, or ``openai:MODEL``.
        scores: the judge's scores that Table 3 shows; the last of them is what "best" m maximises.
        instruction: the sentence of the ``prompt`` baseline, ``{concept}`` standing for a pair's concept; empty for no
            such baseline.
        max_new_tokens: longest answer, in tokens.
    """

    name: str
    judges: tuple[str, ...]
    scores: tuple[str, ...]
    instruction: str = ""
    max_new_tokens: int = 64

    def __post_init__(self) -> None:
        require(bool(self.judges), f"{self.name}: no judge is named")
        require(bool(self.scores), f"{self.name}: no score is named")


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """Everything that a study was asked for; its results depend on nothing else.

    Attributes:
        models: as ``load_model`` takes them.
        datasets: what is trained on, scored and answered.
        cells: baselines first.
        seeds: of training; baselines have the first one alone.
        m: grid of the sweeps, see ``steering.strength_grid``; m = 0 and m = 1 are always among them.
        train_pairs: pairs to train on (of each concept); all where None.
        sweep_pairs: pairs of each sweep (of each concept); all where None.
        prompts: test prompts that are answered and judged (of each concept); all where None.
        judged_r: strengths r at which dev prompts are answered and judged, to find the best m.
        judged_prompts: dev prompts of these (of each concept).
        texts: test prompts answered at every swept m (of each concept's first two at most).
        neutral: neutral prompts on which KL is measured.
        layer: block to steer in models without a recipe; a scan chooses where None.
        overrides: further settings of every recipe, ``key=value``.
        versions: of this package and of what its numbers depend on.
    """

    models: tuple[str, ...]
    datasets: tuple[PlannedData, ...]
    cells: tuple[StudyCell, ...]
    seeds: tuple[int, ...] = (0,)
    m: str = "r:+-0.05:4:20"
    train_pairs: int | None = None
    sweep_pairs: int | None = None
    prompts: int | None = None
    judged_r: tuple[float, ...] = ()
    judged_prompts: int = 16
    texts: int = 3
    neutral: int = 16
    layer: int | None = None
    overrides: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)

    def data(self, name: str) -> PlannedData:
        """One of the datasets, by name.

        Args:
            name: as the plan has it.
        """
        return next(data for data in self.datasets if data.name == name)


@dataclass(frozen=True, slots=True)
class Run:
    """One cell of one model, dataset and seed, and where its files lie.

    Attributes:
        model: as the plan has it.
        dataset: as the plan has it.
        cell: form and objective, or a baseline.
        seed: of training.
        paths: its files.
    """

    model: str
    dataset: str
    cell: StudyCell
    seed: int
    paths: RunPaths

    @property
    def name(self) -> str:
        """Name in messages."""
        return f"{self.model}, {self.dataset}, {self.cell.name}, seed {self.seed}"


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


def runs_of(folder: Path, plan: StudyPlan) -> Iterator[Run]:
    """Every run of a plan, made or not: by model, dataset, seed and cell.

    Args:
        folder: the study's.
        plan: its plan.
    """
    models, datasets = folder_names(plan.models), folder_names([data.name for data in plan.datasets])
    for model in plan.models:
        for data in plan.datasets:
            for seed in plan.seeds:
                for cell in plan.cells:
                    if cell.baseline and (seed != plan.seeds[0] or (cell.objective == PROMPT and not data.instruction)):
                        continue
                    place = folder / RUNS / models[model] / datasets[data.name] / cell.name / f"seed-{seed}"
                    yield Run(model, data.name, cell, seed, RunPaths(place))


def plain_rows(records: Sequence[Any]) -> list[dict[str, Any]]:
    """Records as plain values for a JSON file.

    Args:
        records: any number of this module's records.
    """
    return [asdict(record) for record in records]
