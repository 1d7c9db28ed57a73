"""The testbed comes through the same door as files."""

from __future__ import annotations

import pytest

from easyedit_split.datasets import load_dataset
from easyedit_split.types import DataError

from .tables import of_splits


@pytest.mark.parametrize("name", ["reviews", "persona", "power", "concepts"])
def test_testbed_pairs_come_through_the_same_door(name: str) -> None:
    splits = of_splits(f"testbed:{name}")
    sizes = [160, 80, 80] if name == "concepts" else [128, 64, 64]
    assert [len(table.pairs) for table in splits.values()] == sizes
    assert splits["train"].source == f"testbed:{name}/train"
    assert splits["train"].sha256 != splits["test"].sha256
    assert load_dataset(f"testbed:{name}") == splits["train"]
    assert len(splits["train"].concepts()) == (10 if name == "concepts" else 1)
    assert len(load_dataset(f"testbed:{name}", limit=3).pairs) == (30 if name == "concepts" else 3)


def test_testbed_concepts_by_number() -> None:
    whole = load_dataset("testbed:concepts", split="test")
    one = load_dataset("testbed:concepts", split="test", concept_id=4)
    assert one.concepts() == (whole.concepts()[4],)
    assert one.pairs == tuple(pair for pair in whole.pairs if pair.concept == whole.concepts()[4])
    with pytest.raises(DataError, match="no concept 10; it has 0 to 9"):
        load_dataset("testbed:concepts", concept_id=10)
    with pytest.raises(DataError, match="testbed dataset 'pover' is unknown"):
        load_dataset("testbed:pover")
