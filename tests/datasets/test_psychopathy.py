"""Psychopathy: one file, three splits that do not overlap."""

from __future__ import annotations

from pathlib import Path

from easyedit_split.datasets import load_dataset

from .tables import of_splits, persona, write

# --- the paper's splits ----------------------------------------------------------------------------------------------


def test_psychopathy_splits(tmp_path: Path) -> None:
    path = write(tmp_path / "psychopathy.jsonl", persona(1000))
    name = f"psychopathy:{path}"
    splits = of_splits(name)
    assert {split: len(table.pairs) for split, table in splits.items()} == {"train": 500, "test": 100, "dev": 100}
    rows = [set(table.rows) for table in splits.values()]
    assert len(set.union(*rows)) == 700, "the splits do not overlap"
    assert all(table.rows == tuple(sorted(table.rows)) for table in splits.values())
    assert load_dataset(name, split="train").rows == load_dataset(name).rows == splits["train"].rows
    assert load_dataset(name, split="train", seed=1).rows != splits["train"].rows
    assert splits["train"].pairs[0].prompt == f"Statement {splits['train'].rows[0]}?"
    assert splits["train"].pairs[0].positive == " Yes"
    assert load_dataset(f"psychopathy:{tmp_path}").rows == splits["train"].rows, "the folder does as well"


# --- the real files --------------------------------------------------------------------------------------------------


def test_real_psychopathy(real: Path) -> None:
    splits = of_splits(f"psychopathy:{real}")
    assert [len(table.pairs) for table in splits.values()] == [500, 100, 100]
    answers = [pair.positive for pair in splits["train"].pairs]
    assert set(answers) == {" Yes", " No"}
    assert 200 < answers.count(" Yes") < 300
    assert len(load_dataset(str(real / "psychopathy.jsonl")).pairs) == 1000
