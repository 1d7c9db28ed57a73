"""A study's plan from what a user says: the paper's cells and data where nothing is said, and nothing impossible."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from easyedit_split.datasets.load import load_dataset
from easyedit_split.study.paper.bench import Bench
from easyedit_split.study.paper.compose import QUICK, study_plan
from easyedit_split.study.paper.default_data import label_of, planned_data
from easyedit_split.study.paper.estimate import TYPICAL, work_of
from easyedit_split.study.paper.plan import StudyPlan, runs_of
from easyedit_split.study.paper.splits import one_of_each, some, study_pairs
from easyedit_split.study.paper.study import benches_of, weights_of
from easyedit_split.study.paper.work import items_of
from easyedit_split.types import ConfigError, DataError, SteeringError

TESTBED = "testbed:gemma2"


def test_nothing_said_is_the_papers_study(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EASYEDIT_SPLIT_DATA", str(tmp_path))
    plan = study_plan([TESTBED, "smollm2"])
    assert [cell.name for cell in plan.cells] == [
        "vanilla", "prompt",
        "local_weight-sft", "local_weight-reps", "local_weight-split", "lora-sft", "lora-reps", "lora-split",
        "vector-diff_mean", "vector-sft", "vector-reps", "vector-split",
    ]  # fmt: skip
    assert [data.label for data in plan.datasets_of(TESTBED)] == ["persona", "power", "concepts"]
    assert [data.label for data in plan.datasets_of("smollm2")] == ["everyday"]


def test_seeds_are_for_what_depends_on_them(tmp_path: Path) -> None:
    plan = study_plan([TESTBED], ["testbed:power"], seeds=3)
    seeds = {cell.name: [r.seed for r in runs_of(tmp_path, plan) if r.cell == cell] for cell in plan.cells}
    assert seeds["vector-split"] == [0, 1, 2]
    assert seeds["vector-diff_mean"] == seeds["vanilla"] == seeds["prompt"] == [0]


def test_quick_is_less_of_everything() -> None:
    full, quick = study_plan([TESTBED]), study_plan([TESTBED], quick=True)
    assert quick.m == QUICK["m"]
    for name in ("judged_prompts", "calibration", "texts", "neutral", "seen"):
        assert getattr(quick, name) < getattr(full, name)
    assert quick.sweep_pairs is not None
    assert full.sweep_pairs is None


@pytest.mark.parametrize(("quick", "epochs"), [(True, 2), (False, 4)])
def test_quick_trains_the_testbed_for_half_its_epochs_and_other_models_as_ever(
    quick: bool, epochs: int, tmp_path: Path
) -> None:
    def opened(name: str) -> tuple[Any, Any]:
        raise AssertionError("no model is needed to say it")

    plan = study_plan([TESTBED], ["testbed:power"], quick=quick)
    bench = Bench(tmp_path, plan, TESTBED, plan.datasets[0], opened)
    trained = [bench.run_config(cell, 0).train.epochs for cell in plan.cells if cell.seeded]
    assert set(trained) == {epochs}
    assert study_plan([TESTBED, "smollm2"], quick=quick).epochs is None


@pytest.mark.parametrize("name", ["power", "concepts"])
def test_both_splits_are_swept_over_as_many_pairs(name: str) -> None:
    for quick in (False, True):
        plan = study_plan([TESTBED], [f"testbed:{name}"], quick=quick)
        pairs = study_pairs(plan.datasets[0], plan)
        assert len(pairs.sweep_train) == len(pairs.test)
        assert set(pairs.sweep_train.pair_ids) <= set(pairs.train.pair_ids)
    assert len(pairs.train) > len(pairs.sweep_train), "control: there is a limit"


def test_cells_may_come_from_a_file_with_labels(tmp_path: Path) -> None:
    file = tmp_path / "cells.yaml"
    file.write_text(
        "cells:\n- {form: vector, objective: split, label: no-hinge, overrides: [objective.gamma=0]}\n"
        "- {form: '', objective: vanilla}\n",
        "utf-8",
    )
    vanilla, ablated = study_plan([TESTBED], cells=[str(file)]).cells
    assert (vanilla.name, vanilla.seeded) == ("vanilla", False)
    assert (ablated.name, ablated.method, ablated.seeded) == ("vector-no-hinge", "no-hinge", True)


def test_the_shipped_ablations_change_one_thing_each_and_compose(tmp_path: Path) -> None:
    plan = study_plan([TESTBED], ["testbed:power"], cells=["ablations"])
    runs = {}
    for cell in plan.cells:
        bench = Bench(tmp_path, plan, TESTBED, plan.datasets[0], lambda name: (None, None))
        runs[cell.method] = bench.run_config(cell, 0)
    whole = runs["split"].objective_config
    changed = {name: {k: v for k, v in run.objective_config.items() if whole.get(k) != v} for name, run in runs.items()}
    assert changed["gamma-0"] == {"gamma": 0.0}
    assert changed["even"] == {"gamma": 0.0, "lambda_n": 1.0}
    assert len({repr(run) for run in runs.values()}) == len(runs)


def test_the_shipped_cells_across_m_change_one_thing_each_and_compose(tmp_path: Path) -> None:
    plan = study_plan([TESTBED], ["testbed:power"], cells=["across"])
    bench = Bench(tmp_path, plan, TESTBED, plan.datasets[0], lambda name: (None, None))
    runs = {cell.name: bench.run_config(cell, 0) for cell in plan.cells}
    for form in ("vector", "lora", "local_weight"):
        whole, split = runs[f"{form}-split_across"], runs[f"{form}-split"]
        assert (whole.objective_config, whole.train) == (split.objective_config, split.train)
        for label, changed in (("near", {"kappa": 0.0}), ("valid", {"reach": None}), ("half", {"reach": 0.5})):
            assert runs[f"{form}-{label}"].objective_config == {**whole.objective_config, **changed}
    assert "split_across" not in {cell.objective for cell in study_plan([TESTBED]).cells}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"cells": ["vector"]}, "FORM-OBJECTIVE"),
        ({"cells": ["vector-spilt"]}, "split"),
        ({"judges": ["nobody"]}, "nobody.*or none, for no texts at all"),
        ({"judges": ["none", "self"]}, "give it alone"),
        ({"seeds": 0}, "at least 1"),
        ({"datasets": ["everyday"]}, "no dataset is for testbed:gemma2"),
        ({"datasets": ["testbed:power", "mine.csv"]}, "no model is for mine.csv"),
        ({"datasets": ["testbed:powr"]}, "testbed:power"),
        ({"datasets": ["testbed:power", "testbed:power"]}, "named twice"),
        ({"instructions": {"powr": "x"}}, "powr"),
        ({"instructions": {"power": "x", "testbed:power": "y"}, "datasets": ["testbed:power"]}, "give it once"),
        ({"judges": ["accuracy", "accuracy"]}, "judge accuracy is named twice"),
        ({"overrides": ["train.lr=1", " train.seed = 7"]}, r"train\.seed = 7: .*--seeds"),
        ({"settings": {"judge_url": "http://localhost/v1"}}, "name one, --judge openai:MODEL"),
        ({"max_new_tokens": 0}, "--max-new-tokens 0: give at least 1"),
        ({"settings": {"m": "5"}, "cells": ["vanilla", "vanilla"]}, "share a name"),
        ({"settings": {"m": "r:nonsense"}}, "not a grid"),
        ({"settings": {"pairs": 3}}, "'pairs'"),
    ],
)
def test_what_is_impossible_is_said(settings: dict[str, object], said: str) -> None:
    with pytest.raises(SteeringError, match=said):
        study_plan([TESTBED], **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ("- {form: vector, objective: split, label: ../../x}", r"'vector-../../x'.*a label of letters"),
        ("- {form: vector, objective: split, label: 'a/b'}", "'vector-a/b'"),
        (
            "- {form: vector, objective: split}\n- {form: vector, objective: split, label: SPLIT}",
            "vector x split in tables",
        ),
        (
            "- {form: vector, objective: diff_mean, label: sft}\n- {form: vector, objective: sft, label: SFT}",
            "vector x sft",
        ),
        ("- !!python/object/apply:os.abort []", "could not determine a constructor"),
        ("- {form: '', objective: vanilla, overrides: [train.lr=1]}", "trains nothing"),
        ("- {form: vector, objective: split, overrides: [train.seed=7]}", "--seeds"),
        ("- {form: vector, objective: split, seeded: false}", "seeded follows from the objective"),
        ("[]", "there are no cells"),
    ],
)
def test_cells_that_no_folder_or_table_could_hold_are_refused(tmp_path: Path, cells: str, said: str) -> None:
    file = tmp_path / "cells.yaml"
    file.write_text(f"cells:\n{cells}\n" if cells != "[]" else "cells: []\n", "utf-8")
    with pytest.raises(ConfigError, match=said):
        study_plan([TESTBED], ["testbed:power"], cells=[str(file)])


def test_a_dataset_of_which_no_cell_could_be_made_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--instruction mine=SENTENCE"):
        study_plan(["a-model"], ["mine.jsonl"], cells=["prompt"])
    assert study_plan(["a-model"], ["mine.jsonl"], cells=["prompt"], instructions={"mine": "Be kind."}).cells


def test_two_files_of_one_name_are_told_apart_or_refused() -> None:
    with pytest.raises(ConfigError, match=r"a/pairs\.v1\.csv, pairs\.v2\.csv would all be called pairs"):
        study_plan(["a-model"], ["a/pairs.v1.csv", "other.csv", "pairs.v2.csv"])
    assert len(study_plan(["a-model"], ["a/pairs.csv", "others.csv"]).datasets) == 2


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("testbed:power", "power"),
        ("powerseeking", "powerseeking"),
        ("powerseeking:some/folder", "powerseeking"),
        ("my/pairs.v2.jsonl", "pairs"),
        ("my/folder/", "folder"),
        ("my/.hidden.jsonl", "hidden"),
        ("..", ".."),
    ],
)
def test_labels_are_short(name: str, label: str) -> None:
    assert label_of(name) == label


def test_the_users_word_replaces_the_datasets_own() -> None:
    own, given = planned_data("psychopathy"), planned_data("psychopathy", ["self"], {"psychopathy": "Be bad."}, 3)
    assert (own.judges, own.scores, own.max_new_tokens) == (("accuracy",), ("accuracy",), 8)
    assert (given.judges, given.instruction, given.max_new_tokens) == (("self",), "Be bad.", 3)


def test_instructions_make_the_testbed_follow_them() -> None:
    """They are sentences that its corpus states a latent with."""
    from easyedit_split.testbed.domains import DOMAINS

    for name in ("persona", "power", "reviews"):
        instruction = planned_data(f"testbed:{name}").instruction
        assert instruction in DOMAINS[name].clauses[DOMAINS[name].values[0]]
    assert (
        planned_data("testbed:concepts").instruction.replace("{concept}", "rain") in DOMAINS["concepts"].clauses["rain"]
    )


def test_limits_count_all_concepts_and_smaller_ones_are_within_larger_ones() -> None:
    table = load_dataset("testbed:concepts", split="train")
    few, more = some(table, 20), some(table, 50)
    assert (len(few), len(more)) == (20, 50)
    assert set(few.rows) < set(more.rows)
    assert len(some(table, 10, fewest=8)) == 80
    assert len(one_of_each(table, 4).concepts()) == 4
    with_one = load_dataset("testbed:power", split="dev")
    assert one_of_each(with_one, 3).rows == with_one.rows[:3]


def test_work_grows_with_pairs_and_m_and_weighs_every_item(tmp_path: Path) -> None:
    def bench(plan: StudyPlan) -> Bench:
        def refuse(name: str) -> tuple[object, object]:
            raise AssertionError(name)

        return Bench(tmp_path, plan, TESTBED, plan.datasets[0], refuse)

    full, quick = (study_plan([TESTBED], ["testbed:power"], quick=quick) for quick in (False, True))
    runs = list(runs_of(tmp_path, full))
    weights = weights_of(benches_of(tmp_path, full))
    assert set(weights) == {(run.name, item.name) for run in runs for item in items_of(run)}
    trained = next(run for run in runs if run.cell.name == "vector-split")
    for item in items_of(trained):
        a, b = work_of(bench(full), trained, item), work_of(bench(quick), trained, item)
        assert TYPICAL.seconds(a) >= TYPICAL.seconds(b) > 0
    assert work_of(bench(full), trained, items_of(trained)[3]).scored == 64 * 42


@pytest.mark.parametrize(("concepts", "each", "epochs"), [(1, None, 12), (1, 32, 12), (2, 32, 4), (2, None, 12)])
def test_each_of_several_concepts_is_trained_for_less(
    tmp_path: Path, concepts: int, each: int | None, epochs: int
) -> None:
    rows = [
        {"prompt": f"Q{c} {split} {i}?", "positive": "Yes", "negative": "No", "split": split, "concept": f"c{c}"}
        for c in range(concepts)
        for split, count in (("train", 8), ("test", 2))
        for i in range(count)
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    plan = study_plan(["a-model"], [str(path)], cells=["vector-split"], settings={"seen": 96, "seen_each": each})

    def refuse(name: str) -> tuple[object, object]:
        raise AssertionError(name)

    bench = Bench(tmp_path, plan, "a-model", plan.datasets[0], refuse)
    assert bench.train_config(plan.cells[0], 0).epochs == epochs


def test_control_a_dataset_whose_concepts_differ_by_split_is_refused(tmp_path: Path) -> None:
    rows = [("train", "a"), ("train", "a"), ("test", "b")]
    lines = [
        f'{{"prompt": "Q{i}?", "positive": "Yes", "negative": "No", "split": "{s}", "concept": "{c}"}}'
        for i, (s, c) in enumerate(rows)
    ]
    (tmp_path / "p.jsonl").write_text("\n".join(lines), "utf-8")
    plan = study_plan(["smollm2"], [str(tmp_path / "p.jsonl")])
    with pytest.raises(DataError, match="'b' is not among"):
        study_pairs(plan.datasets[0], plan)


def test_a_config_error_is_what_a_wrong_count_is() -> None:
    with pytest.raises(ConfigError):
        study_plan([TESTBED], seeds=-1)
