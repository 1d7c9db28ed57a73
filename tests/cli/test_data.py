"""What the commands take of a file: the split that it declares, and its good rows, the others counted and recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from easyedit_split.datasets.load import default_split_of
from easyedit_split.types import DataError

from .shared import ROWS, Run, Sentence, sweep_line, train_line, write_rows

WHOLE = "so the whole file is used"


def data_record(artifact: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((artifact / "steering_config.json").read_text())["record"]["data"]
    return record


@pytest.fixture
def split_file(tmp_path: Path) -> Path:
    """Four rows of train, two of test."""
    rows = [{**row, "split": "train" if i < 4 else "test"} for i, row in enumerate(ROWS)]
    return write_rows(tmp_path / "mine.jsonl", rows)


def test_the_default_split_of_a_file_that_declares_it(
    run: Run, model: Path, artifact: Path, split_file: Path, tmp_path: Path
) -> None:
    code, _, err = run(*train_line(model, split_file, tmp_path / "x"))
    assert code == 0, err
    assert WHOLE not in err
    record = data_record(tmp_path / "x")
    assert (record["split"], record["pairs"]) == ("train", 4)
    code, _, err = run(*sweep_line(model, split_file, artifact, tmp_path / "s.csv"))
    assert code == 0, err
    assert "mean of 2 pairs" in _
    code, _, err = run(*train_line(model, split_file, tmp_path / "y", "--split", "test"))
    assert data_record(tmp_path / "y")["pairs"] == 2


def test_a_file_without_it_is_used_whole_and_that_is_said_once(
    run: Run, model: Path, data: Path, tmp_path: Path
) -> None:
    code, _, err = run(*train_line(model, data, tmp_path / "a"))
    assert code == 0, err
    assert err.count(WHOLE) == 1
    assert (data_record(tmp_path / "a")["split"], data_record(tmp_path / "a")["pairs"]) == ("", 6)


@pytest.mark.parametrize(
    ("name", "split", "found"),
    [
        ("mine.jsonl", "train", "train"),
        ("plain.jsonl", "train", None),
        ("plain_train.jsonl", "train", "train"),
        ("plain_train.jsonl", "test", None),
        ("mine_train.jsonl", "train", "train"),
        ("mine_train.jsonl", "test", None),
        ("local:mine.jsonl", "test", "test"),
        ("psychopathy", "test", "test"),
        ("psychopathy:mine.jsonl", "dev", "dev"),
        ("testbed:power", "train", "train"),
    ],
)
def test_what_is_taken_where_no_split_is_named(
    split_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, split: Any, found: str | None
) -> None:
    for other in ("mine_train.jsonl", "mine_dev.jsonl"):
        (tmp_path / other).write_text(split_file.read_text())
    for plain in ("plain.jsonl", "plain_train.jsonl"):
        write_rows(tmp_path / plain, ROWS)
    monkeypatch.chdir(tmp_path)
    assert default_split_of(name, split) == found


def test_a_file_with_other_splits_alone_is_not_used_whole(
    split_file: Path, tmp_path: Path, sentence: Sentence, model: Path
) -> None:
    with pytest.raises(DataError, match=r"its column 'split' has test, train and no dev: choose by --split"):
        default_split_of(str(split_file), "dev")
    held_out = [dict(row, split="Validation ") for row in ROWS]
    file = write_rows(tmp_path / "held.jsonl", held_out)
    assert "has dev and no train" in sentence(*train_line(model, file, tmp_path / "x"))
    assert default_split_of(str(file), "dev") == "dev", "capitals and spaces around a split's name are no other split"


def test_dropped_rows_are_named_once_counted_and_recorded(run: Run, model: Path, tmp_path: Path) -> None:
    same, long = {**ROWS[0], "negative": ROWS[0]["positive"]}, {**ROWS[1], "prompt": "a " * 900}
    file = write_rows(tmp_path / "bad.jsonl", [*ROWS, same, long])
    code, _, err = run(*train_line(model, file, tmp_path / "x", "--drop-bad"))
    assert code == 0, err
    record = data_record(tmp_path / "x")
    assert record["pairs"] == 6
    assert record["dropped"] == [
        f"{file.name}, row 6: fields 'positive' and 'negative' hold the same answer",
        next(sentence for sentence in record["dropped"] if "row 7" in sentence),
    ]
    assert "max_length is 512" in record["dropped"][1]
    assert err.count("row 6") == err.count("row 7") == 1
    assert "dropped 1 of 8 rows: row 6" in err
    assert "dropped 1 of 7 rows" in err
    code, _, err = run(*train_line(model, write_rows(file, ROWS), tmp_path / "y", "--drop-bad"))
    assert data_record(tmp_path / "y")["dropped"] == []
    assert "dropped 1" not in err
    assert " row " not in err


def test_what_the_loader_noted_is_recorded(run: Run, model: Path, tmp_path: Path) -> None:
    names = ("question", "matching", "not_matching")
    rows = [dict(zip(names, (f"Offer {i}?", "Yes", "No"), strict=True)) for i in range(510)]
    file = write_rows(tmp_path / "train.jsonl", rows)
    line = train_line(model, Path(f"powerseeking:{file}"), tmp_path / "x", "--split", "dev")
    code, _, err = run(*line)
    assert code == 0, err
    note = "powerseeking: dev has 10 pairs, all that train and test leave (200 wanted)"
    assert data_record(tmp_path / "x")["notes"] == [note]
    assert note in err


def test_a_split_that_a_file_has_not_is_refused(sentence: Sentence, model: Path, data: Path, tmp_path: Path) -> None:
    err = sentence(*train_line(model, data, tmp_path / "x", "--split", "test"))
    assert f"{data}: has no split 'test'" in err
