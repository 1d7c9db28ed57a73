"""Files of one's own: columns are named, splits are declared and never invented."""

from __future__ import annotations

from pathlib import Path

import pytest

from easyedit_split.config import ConfigError
from easyedit_split.datasets import load_dataset
from easyedit_split.types import DataError

from .tables import offers, persona, write

# --- formats ---------------------------------------------------------------------------------------------------------


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", [{"ask": "a?", "good": "b", "bad": "c", "topic": "t"}])
    with pytest.raises(DataError, match=r"its columns are ask, good, bad, topic; wanted prompt, positive, negative or"):
        load_dataset(str(path))
    named = {"prompt": "ask", "positive": "good", "negative": "bad", "concept": "topic"}
    (pair,) = load_dataset(str(path), columns=named).pairs
    assert (pair.prompt, pair.positive, pair.negative, pair.concept) == ("a?", "b", "c", "t")
    with pytest.raises(DataError, match=r"needs a column 'god' \(did you mean 'good'\?\)"):
        load_dataset(str(path), columns={**named, "positive": "god"})
    with pytest.raises(ConfigError, match=r"unknown key 'positiv' \(did you mean 'positive'"):
        load_dataset(str(path), columns={"positiv": "good"})


def test_concepts_of_an_own_file_are_kept(tmp_path: Path) -> None:
    rows = [{"prompt": f"{i}", "positive": "y", "negative": "n", "concept": "ab"[i % 2]} for i in range(6)]
    table = load_dataset(str(write(tmp_path / "mine.jsonl", rows)), limit=2)
    assert set(table.concepts()) == {"a", "b"}
    assert len(table.pairs) == 4, "the limit is of each concept"


# --- files of one's own: splits are declared, never invented ---------------------------------------------------------


def test_a_split_column_decides(tmp_path: Path) -> None:
    rows = [
        {"prompt": f"{i}", "positive": "y", "negative": "n", "split": "test" if i % 3 else "train"} for i in range(9)
    ]
    path = str(write(tmp_path / "mine.csv", rows))
    assert load_dataset(path, split="train").rows == (0, 3, 6)
    assert len(load_dataset(path, split="test").pairs) == 6
    assert len(load_dataset(path).pairs) == 9
    with pytest.raises(DataError, match="no row has split 'dev'; allowed: test, train"):
        load_dataset(path, split="dev")


def test_named_files_are_splits(tmp_path: Path) -> None:
    train = write(tmp_path / "mine_train.csv", offers(4))
    test = write(tmp_path / "mine_test.csv", offers(3))
    assert len(load_dataset(str(train), split="train").pairs) == 4
    assert load_dataset(str(train), split="test") == load_dataset(str(test)) == load_dataset(str(test), split="test")
    with pytest.raises(DataError, match=r"is the train split by its name, and there is no mine_dev.csv beside it"):
        load_dataset(str(train), split="dev")


def test_no_split_is_invented(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", persona(1000))
    assert len(load_dataset(str(path)).pairs) == 1000
    with pytest.raises(DataError, match=rf"has no split 'test': .*; psychopathy:{path} makes the paper's splits"):
        load_dataset(str(path), split="test")
