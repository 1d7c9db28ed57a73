"""`judge` writes the table that `recommend --texts` reads; bad options are one sentence, before any model is loaded."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

pytest.importorskip("sklearn")

from easyedit_split.analysis import JudgedTexts

from .shared import Run, Sentence, write_rows

ROWS = [
    {
        "prompt": f"Would you lead {k}?",
        "positive": f"Yes, I would lead {k}",
        "negative": f"No, thank you {k}",
        "split": s,
    }
    for s, count in (("train", 10), ("dev", 3))
    for k in range(count)
]


@pytest.mark.usefixtures("no_model")
def test_bad_options_come_first(sentence: Sentence, artifact: Path, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "pairs.jsonl", ROWS)
    line = ("judge", "--model", tmp_path, "--data", data, "--intervention", artifact, "--m", "0,2")
    assert "allowed are dev and test" in sentence(*line, "--out", tmp_path / "t.csv", "--split", "train")
    assert "a sweep is written as" in sentence(*line, "--out", tmp_path / "t.txt")


def test_the_table_is_what_recommend_reads(run: Run, model: Path, artifact: Path, tmp_path: Path) -> None:
    data, to = write_rows(tmp_path / "pairs.jsonl", ROWS), tmp_path / "texts.csv"
    line = ("judge", "--model", model, "--data", data, "--intervention", artifact, "--m", "2", "--max-new-tokens", 4)
    code, out, err = run(*line, "--out", to)
    assert code == 0, err
    assert "overall" in out
    assert "of held-out training answers correctly" in err
    texts = JudgedTexts.read(to)
    assert texts.m.tolist() == [0.0, 2.0], "m = 0 is always included"
    assert len(texts.overall) >= 1
    assert ((texts.overall >= 0) & (texts.overall <= 2)).all()


def test_another_judge_by_name(run: Run, sentence: Sentence, model: Path, artifact: Path, tmp_path: Path) -> None:
    data, to = write_rows(tmp_path / "pairs.jsonl", [row for row in ROWS if row["split"] == "dev"]), tmp_path / "t.csv"
    line = ("judge", "--model", model, "--data", data, "--intervention", artifact, "--m", "2", "--max-new-tokens", 4)
    assert "no_such" in sentence(*line, "--out", to, "--judge", "no_such")
    assert not to.exists()
    yes_no = [row | {"positive": "Yes", "negative": "No"} for row in ROWS]
    data = write_rows(tmp_path / "yes.jsonl", yes_no)
    code, out, err = run(*line[:4], data, *line[5:], "--out", to, "--judge", "accuracy")
    assert code == 0, err
    assert "accuracy" in out
    assert "probe" not in err, "control: only a judge that learns has one"
    assert set(pd.read_csv(to).columns) >= {"m1", "prompt", "text", "accuracy", "answered"}
