"""What would stop a study in the middle is one sentence at its beginning, and nothing is made."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from easyedit_split.study.paper.beforehand import check_beforehand
from easyedit_split.study.paper.plan import StudyPlan, runs_of
from easyedit_split.study.paper.study import benches_of, make_study
from easyedit_split.study.paper.workers import Maker, Opener
from easyedit_split.types import DataError, SteeringError

from .tiny_study import ASKED, DIFF_MEAN, ON_CPU, SPLIT, VANILLA, Silent, make, tiny_plan

SECRET = "very-secret-1234567890"


def launch(*given: Any) -> None:
    """Starts nothing."""


def refused(folder: Path, plan: StudyPlan) -> str:
    with pytest.raises(SteeringError) as error:
        make(folder / "out", plan, launch=launch)
    assert not (folder / "out").exists()
    return str(error.value)


def rewritten(folder: Path, **more: str) -> None:
    """Change the last row of the pairs, which is one of the test split."""
    path = folder / "pairs.jsonl"
    *rows, last = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, last | more]), "utf-8")


def with_judge(plan: StudyPlan, judge: str, **more: Any) -> StudyPlan:
    return replace(plan, datasets=(replace(plan.datasets[0], judges=(judge,)),), **more)


def test_control_what_can_be_made_passes_without_a_model(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path)
    check_beforehand(benches_of(tmp_path / "out", plan, lambda name: pytest.fail("a model was loaded")))
    check_beforehand(benches_of(tmp_path / "out", with_judge(plan, "self")))


def test_pairs_that_the_judge_cannot_judge(tmp_path: Path) -> None:
    plan = replace(tiny_plan(tmp_path), prompts=None)
    rewritten(tmp_path, positive="Gladly")
    told = refused(tmp_path, plan)
    assert "pairs.jsonl, row 20" in told
    assert "'Gladly'" in told
    assert "another --judge" in told


def test_a_judge_that_learns_has_enough_pairs_of_every_concept(tmp_path: Path) -> None:
    plan = with_judge(tiny_plan(tmp_path), "self")
    rows = [
        {"prompt": f"{c} {s} {k}?", "positive": "Yes", "negative": "No", "split": s, "concept": c}
        for c, count in (("much", 9), ("little", 2))
        for s in ("train", "dev", "test")
        for k in range(count)
    ]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    told = refused(tmp_path, plan)
    assert "2 training pairs of concept 'little'" in told
    assert "needs 8" in told
    make(tmp_path / "accuracy", with_judge(plan, "accuracy"), launch=launch)  # control: another judge needs none


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"http://me:{SECRET}@127.0.0.1:9/v1", "holds a name, a password or a query"),
        (f"http://127.0.0.1:9/v1?key={SECRET}", "holds a name, a password or a query"),
        ("http://127.0.0.1:9/v1", "cannot be reached"),
        ("localhost:8000", "http://HOST:PORT/v1"),
        (None, "set OPENAI_API_KEY"),
    ],
)
def test_a_judge_elsewhere_is_reached_and_its_address_is_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str | None, words: str
) -> None:
    pytest.importorskip("openai")
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    told = refused(tmp_path, with_judge(tiny_plan(tmp_path), "openai:grader", judge_url=url))
    assert words in told
    assert SECRET not in told


def test_an_instruction_that_names_the_concept_has_one_to_name(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, (VANILLA, ASKED))
    named = replace(plan, datasets=(replace(plan.datasets[0], instruction="Mention {concept}."),))
    told = refused(tmp_path, named)
    assert "pairs.jsonl, row 15: has no concept" in told
    assert "--instruction pairs=SENTENCE" in told
    make(tmp_path / "bare", replace(named, cells=(VANILLA,)), launch=launch)  # control: nobody asks so


def first_item(folder: Path, plan: StudyPlan) -> str:
    return next(Maker(folder, plan, Opener(ON_CPU)).make(next(runs_of(folder, plan))))


@pytest.mark.parametrize(("prompt", "longest", "words"), [("lead " * 600, 3, "tokens"), ("Lead?", 250, "=250 longer")])
def test_a_row_that_the_model_has_no_room_for_comes_before_any_run(
    tmp_path: Path, prompt: str, longest: int, words: str
) -> None:
    plan, out = tiny_plan(tmp_path, (DIFF_MEAN,)), tmp_path / "out"
    whole = (tmp_path / "pairs.jsonl").read_text("utf-8")
    rewritten(tmp_path, prompt=prompt)
    with pytest.raises(DataError, match=rf"pairs\.jsonl, row \d+.*{words}"):
        first_item(out, replace(plan, datasets=(replace(plan.datasets[0], max_new_tokens=longest),)))
    assert not out.exists()
    (tmp_path / "pairs.jsonl").write_text(whole, "utf-8")
    assert first_item(out, plan) == "train", "control: mended, it is made"


def test_settings_of_every_cell_are_read(tmp_path: Path) -> None:
    wrong = replace(DIFF_MEAN, label="wrong", overrides=("train.lrr=1",))
    assert "'lrr'" in refused(tmp_path, tiny_plan(tmp_path, (SPLIT, wrong)))


@pytest.mark.parametrize("workers", [0, -2])
def test_no_process_makes_nothing(tmp_path: Path, workers: int) -> None:
    plan = tiny_plan(tmp_path, (VANILLA,))
    with pytest.raises(SteeringError, match="at least 1"):
        make_study(tmp_path / "out", plan, ON_CPU, Silent(), workers=workers, launch=launch)
    assert not (tmp_path / "out").exists()
