"""AxBench: splits within each concept; what is no pair is left out and said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from easyedit_split.datasets import load_dataset
from easyedit_split.types import DataError

from .tables import axbench, write


def test_axbench_splits_within_each_concept(tmp_path: Path) -> None:
    path = write(tmp_path / "dpo_train_data.parquet", axbench(12))
    train, test = (load_dataset(f"axbench:{path}", split=split) for split in ("train", "test"))
    assert (len(train.pairs), len(test.pairs)) == (640, 80)
    assert not set(train.rows) & set(test.rows)
    assert train.concepts() == tuple(f"concept {c}" for c in range(10))
    assert train.notes == (f"{path}: the first 10 of 12 concepts are used",)
    three = load_dataset(f"axbench:{path}", concept_id=3)
    assert three.concepts() == ("concept 3",)
    assert set(three.rows) == {row for row in train.rows if row // 72 == 3}
    assert len(load_dataset(f"axbench:{path}", concept_id=11).pairs) == 64
    assert len(load_dataset(f"axbench:{path}", limit=5).pairs) == 50
    with pytest.raises(DataError, match=r"no concept 12; it has 0, 1, 2"):
        load_dataset(f"axbench:{path}", concept_id=12)
    with pytest.raises(DataError, match=r"concept 0: train and test use all 72 rows, nothing is left for dev"):
        load_dataset(f"axbench:{path}", split="dev")


def test_axbench_leaves_other_categories_out_and_says_so(tmp_path: Path) -> None:
    rows = axbench()
    rows += [{**rows[0], "concept_id": -1, "category": "negative"}] * 7
    table = load_dataset(f"axbench:{write(tmp_path / 'a.parquet', rows)}")
    assert len(table.pairs) == 640
    assert table.notes[0].endswith("7 rows whose category is not 'positive' left out")


def test_axbench_needs_whole_numbers_as_concept_ids(tmp_path: Path) -> None:
    rows = axbench()
    rows[5]["concept_id"] = None
    path = tmp_path / "a.json"
    path.write_text(json.dumps(rows))
    with pytest.raises(DataError, match=r"a.json, row 5: field 'concept_id' is None, wanted a whole number"):
        load_dataset(f"axbench:{path}")
