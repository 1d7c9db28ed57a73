"""Calibration of judges that learn: what each concept's probe is held against, read once; what was learnt, kept."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from easyedit_split.judges.bare_reading import BareReader
from easyedit_split.judges.base import JUDGES, Calibration, prepared_judge, scores_of
from easyedit_split.judges.calibrations import AGAINST, Calibrations, kept_judge
from easyedit_split.judges.self import SelfJudge
from easyedit_split.types import DataError, Pair

from ..small import world

PROMPTS = [f"Would you lead {k}?" for k in range(8)]


def pairs_of(concepts: dict[str, int]) -> list[Pair]:
    return [
        Pair(f"Would you lead {k}?", f"Yes, I would {name} {k}", f"No, thank you {k}", name)
        for name, n in concepts.items()
        for k in range(n)
    ]


def calibrations(concepts: dict[str, int]) -> Calibrations:
    """Of a tiny model."""
    here = world()
    return Calibrations(here.model, here.template, 1, pairs_of(concepts))


@pytest.fixture(scope="module")
def learnt() -> tuple[Calibration, dict[str, Any]]:
    """A calibration, and what a judge has learnt from it."""
    calibration = calibrations({"lead": 8}).of("lead")
    return calibration, SelfJudge.prepared(calibration).learnt()


@pytest.fixture
def rows_read(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, tuple[int, ...]]]:
    """How often each prompt with its answer was read."""
    found: Counter[tuple[str, tuple[int, ...]]] = Counter()
    real = BareReader._read

    def counted(self: BareReader, asked: Any) -> Any:
        found.update(asked)
        return real(self, asked)

    monkeypatch.setattr(BareReader, "_read", counted)
    return found


@pytest.mark.parametrize("sizes", [[100, 100], [3, 1000], [40] * 10, [40] * 60, [8] * 200, [2, 2, 500]])
def test_a_probe_is_held_against_other_concepts_alike(sizes: list[int]) -> None:
    every = calibrations({f"c{i}": n for i, n in enumerate(sizes)})
    for i in range(len(sizes)):
        other = Counter(answer.split()[3] for _, answer in every.of(f"c{i}").against)
        assert f"c{i}" not in other
        assert sum(other.values()) <= AGAINST
        assert sum(other.values()) >= min(AGAINST - 2, sum(sizes) - sizes[i])
        short = {f"c{j}" for j, n in enumerate(sizes) if n <= other[f"c{j}"]}
        rest = [n for name, n in other.items() if name not in short]
        assert max(rest, default=0) - min(rest, default=0) <= 2, "of each as many, where there are"


def test_of_one_concept_there_is_nothing_to_hold_it_against() -> None:
    assert calibrations({"lead": 8}).of("lead").against == []


def test_answers_of_other_concepts_are_read_once(rows_read: Counter[Any]) -> None:
    every = calibrations({"lead": 8, "rule": 8})
    judges = [prepared_judge("self", every.of(name)) for name in ("lead", "rule")]
    answers = {(pair.prompt, every.of(None).reader.ids(pair.positive)) for pair in every.training}
    assert {rows_read[answer] for answer in answers} == {1}
    rows_read.clear()
    for name in ("lead", "rule"):
        calibration = every.of(name)
        prepared_judge("self", Calibration(*(getattr(calibration, key) for key in CALIBRATED)))
    assert {rows_read[answer] for answer in answers} == {2}, "control"
    assert len({id(judge.reader) for judge in judges}) == 1  # type: ignore[attr-defined]


CALIBRATED = ("model", "template", "pairs", "block", "against")


def test_what_was_learnt_is_kept_bit_for_bit(tmp_path: Path, rows_read: Counter[Any]) -> None:
    texts = ["Yes, I would lead", "No", "Yes yes yes yes", "", "I would rule, thank you", "1", "lead", "you"]
    found = []
    for _ in range(2):
        calibration = calibrations({"lead": 9, "rule": 8}).of("lead")
        rows_read.clear()
        judge = kept_judge("self", calibration, tmp_path / "judge.json")
        found.append((sum(rows_read.values()) > 0, scores_of(judge, PROMPTS, texts, [])))
    (first, made), (again, recalled) = found
    assert len({tuple(scores.values()) for scores in made}) > 5, "control: scores that tell texts apart"
    assert first
    assert not again, "nothing is read again"
    assert made == recalled


@pytest.mark.parametrize(
    "edit",
    [
        lambda held: held.pop("probe"),
        lambda held: held.pop("accuracy"),
        lambda held: held["probe"].pop("bias"),
        lambda held: held["probe"]["weights"].pop(),
        lambda held: held["scales"].update(other=1.0),
        lambda held: held.update(probe=[]),
        lambda held: held["probe"].update(mean="text"),
        lambda held: held.update(scales=None),
        lambda held: held.update(accuracy=None),
    ],
)
def test_a_file_of_something_else_is_refused_by_name(
    edit: Any, learnt: tuple[Calibration, dict[str, Any]], tmp_path: Path
) -> None:
    calibration, known = learnt
    path = tmp_path / "judge.json"
    path.write_text(json.dumps(known), "utf-8")
    assert kept_judge("self", calibration, path).name == "self", "control"
    edit(held := json.loads(path.read_text("utf-8")))
    path.write_text(json.dumps(held), "utf-8")
    with pytest.raises(DataError, match=r"judge\.json: does not hold what the judge self has learnt: delete it"):
        kept_judge("self", calibration, path)
    path.write_text("[", "utf-8")
    with pytest.raises(DataError, match=r"judge\.json: not valid JSON"):
        kept_judge("self", calibration, path)


def test_a_judge_that_does_not_say_what_it_has_learnt_has_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent:
        name = "silent"

        @classmethod
        def prepared(cls, calibration: Calibration) -> Silent:
            return cls()

        def judge(self, prompt: str, answer: str, pair: Pair) -> dict[str, float]:
            return {"overall": 1.0}

    monkeypatch.setitem(JUDGES._entries, "silent", Silent)
    path = tmp_path / "judge.json"
    assert kept_judge("silent", calibrations({"lead": 8}).of("lead"), path).name == "silent"
    assert not path.exists()
