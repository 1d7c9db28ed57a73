"""A file without splits is split within each concept, by its pairs' texts and the seed alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from easyedit_split import ConfigError, DataError, Pair
from easyedit_split.datasets.base import PairTable
from easyedit_split.datasets.in_memory import as_pairs
from easyedit_split.study.paper.compose import study_plan
from easyedit_split.study.paper.splits import study_pairs
from easyedit_split.study.plan import FEWEST_DEV, SteerPlan, data_for, split_file


def table_of(counts: dict[str | None, int]) -> PairTable:
    """Pairs of several concepts, taking turns."""
    pairs = [
        Pair(f"{concept} asks {k}?", f"{concept} yes {k}", f"no {k}", concept=concept)
        for k in range(max(counts.values()))
        for concept, count in counts.items()
        if k < count
    ]
    return as_pairs(pairs)


def test_each_concept_is_split_as_it_is_alone() -> None:
    both, alone = table_of({"red": 72, "blue": 80}), table_of({"red": 72})
    found, wanted = split_file(both), split_file(alone)
    assert found.dev is not None
    assert wanted.dev is not None
    for part, own in (
        (found.training, wanted.training), (found.dev, wanted.dev), (found.test, wanted.test),
    ):  # fmt: skip
        assert [pair for pair in part if pair.concept == "red"] == list(own)
        assert set(part.concepts()) == {"red", "blue"}
    rows = [*found.training.rows, *found.dev.rows, *found.test.rows]
    assert sorted(rows) == list(both.rows)
    assert list(split_file(both, seed=1).test) != list(found.test)


def test_without_enough_pairs_of_every_concept_there_is_no_dev_split() -> None:
    enough = 4 * 2 * FEWEST_DEV
    assert split_file(table_of({"red": enough, "blue": enough})).dev is not None
    found = split_file(table_of({"red": enough, "blue": enough - 4}))
    assert found.dev is None
    assert len(found.test) == 2 * FEWEST_DEV + 2 * FEWEST_DEV - 1


def test_a_concept_with_too_few_pairs_is_named() -> None:
    with pytest.raises(DataError, match=r"3 pairs of concept 'blue' are too few"):
        split_file(table_of({"red": 8, "blue": 3}))
    with pytest.raises(DataError, match=r"3 pairs are too few"):
        split_file(table_of({None: 3}))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("train_pairs", 0),
        ("test_pairs", -3),
        ("max_new_tokens", 0),
        ("texts", 0),
        ("judged", -1),
        ("max_kl", -0.1),
        ("max_kl", float("nan")),
        ("m", "r:nonsense"),
    ],
)
def test_a_run_that_could_not_end_is_not_begun(setting: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"{setting}.*{value}"):
        SteerPlan(**{setting: value})  # type: ignore[arg-type]
    assert SteerPlan(train_pairs=1, test_pairs=1, max_new_tokens=1, texts=1, judged=0, max_kl=0.0, m="-1:1:3").neutral


def test_a_file_of_several_concepts_is_a_studys_dataset_but_not_one_to_steer_towards(tmp_path: Path) -> None:
    path = tmp_path / "colours.jsonl"
    rows = [
        {"prompt": pair.prompt, "positive": pair.positive, "negative": pair.negative, "concept": pair.concept}
        for pair in table_of({"red": 12, "blue": 12})
    ]
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    plan = study_plan(["smollm2"], [str(path)], quick=True)
    found = study_pairs(plan.datasets[0], plan)
    assert found.dev_is_test
    assert set(found.train.concepts()) == set(found.test.concepts()) == {"red", "blue"}
    with pytest.raises(DataError, match="holds 2 concepts"):
        data_for(str(path), SteerPlan())
