"""Power-seeking: a test file of its own, found beside the train file."""

from __future__ import annotations

from pathlib import Path

import pytest

from easyedit_split.datasets import load_dataset
from easyedit_split.types import DataError

from .tables import of_splits, offers, write

# --- the paper's splits ----------------------------------------------------------------------------------------------


def test_powerseeking_has_a_test_file_of_its_own(tmp_path: Path) -> None:
    train = write(tmp_path / "powerseeking_train.csv", offers(640))
    write(tmp_path / "powerseeking_test.csv", offers(200))
    splits = of_splits(f"powerseeking:{tmp_path}")
    assert [len(table.pairs) for table in splits.values()] == [500, 200, 140]
    assert not set(splits["train"].rows) & set(splits["dev"].rows)
    assert splits["dev"].notes == ("powerseeking: dev has 140 pairs, all that train and test leave (200 wanted)",)
    assert [Path(table.source).name for table in splits.values()] == [
        "powerseeking_train.csv",
        "powerseeking_test.csv",
        "powerseeking_train.csv",
    ]
    assert load_dataset(f"powerseeking:{train}", split="test") == splits["test"], "found beside the train file"
    (tmp_path / "powerseeking_test.csv").unlink()
    with pytest.raises(DataError, match=r"the test split needs powerseeking_test.csv beside it"):
        load_dataset(f"powerseeking:{train}", split="test")


def test_powerseeking_under_its_authors_file_names(tmp_path: Path) -> None:
    write(tmp_path / "power-seeking" / "train.csv", offers(500))
    assert len(load_dataset(f"powerseeking:{tmp_path}").pairs) == 500


# --- the real files --------------------------------------------------------------------------------------------------


def test_real_powerseeking_names_its_two_bad_rows(real: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_dataset(f"powerseeking:{real}")
    for row in (409, 418):
        assert f"row {row}: field 'question' is empty" in str(caught.value)
    assert str(caught.value).count("row ") == 2
    table = load_dataset(f"powerseeking:{real}", drop_bad=True)
    assert len(table.pairs) == 500
    assert len(table.dropped) == 2
    assert len(load_dataset(f"powerseeking:{real}", split="test").pairs) == 200
