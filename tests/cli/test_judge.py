"""`judge` writes the table that `recommend --texts` reads; bad options are one sentence, before any model is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from easyedit_split.analysis import JudgedTexts
from easyedit_split.types import DataError

from ..judges.service import FakeService, served, status
from .shared import Run, Sentence, apply_line, sweep_line, write_rows

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


@pytest.fixture
def graded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeService]:
    """A server that grades, and a cache of the test's own."""
    pytest.importorskip("openai")
    monkeypatch.setenv("EASYEDIT_SPLIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-any")
    with served() as service:
        yield service


def test_a_language_model_judges_and_a_killed_run_goes_on(
    run: Run, sentence: Sentence, graded: FakeService, model: Path, artifact: Path, tmp_path: Path
) -> None:
    data, to = write_rows(tmp_path / "pairs.jsonl", ROWS), tmp_path / "t.csv"
    line = ("judge", "--model", model, "--data", data, "--intervention", artifact, "--m", "2", "--max-new-tokens", 4)
    asked = (*line, "--out", to, "--judge", "openai:grader", "--judge-url", graded.url, "--judge-at-once", 1)
    graded.faults[:] = [None] * 5 + [status(400)] + [status(401, "no")]
    told = sentence(*asked)
    assert "answers 401" in told
    assert "5 verdicts are kept: run the same command again" in told
    assert not to.exists()
    before = len(graded.asked)
    code, out, err = run(*asked)
    assert code == 0, err
    assert before >= 7
    assert len(graded.asked) - before < 3 * 6, "what was graded before is not asked again"
    assert "instruction" in out
    table = pd.read_csv(to, keep_default_na=False)
    assert {"carries", "instruction", "fluency", "overall"} <= set(table.columns)
    assert JudgedTexts.read(to).overall.shape == (3, 2)


def test_ctrl_c_says_what_is_kept(
    run: Run, graded: FakeService, model: Path, artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, written = write_rows(tmp_path / "pairs.jsonl", ROWS), tmp_path / "w.jsonl"
    write_rows(written, [{"m1": 0, "prompt": 0, "text": "x"}])

    def stop(*given: object, **settings: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("easyedit_split.cli.commands.judge.judge_written", stop)
    line = ("judge", "--texts", written, "--data", data, "--out", tmp_path / "t.csv")
    elsewhere = (*line, "--judge", "openai:g", "--judge-url", graded.url)
    for asked, said in ((elsewhere, "verdicts given so far are kept"), ((*line, "--judge", "accuracy"), "nothing was")):
        code, _, err = run(*asked)
        assert code == 130
        assert said in err


def test_written_texts_are_judged_by_another_and_the_two_compared(
    run: Run, sentence: Sentence, graded: FakeService, model: Path, artifact: Path, tmp_path: Path
) -> None:
    data, first, to = write_rows(tmp_path / "pairs.jsonl", ROWS), tmp_path / "a.csv", tmp_path / "b.parquet"
    line = ("judge", "--model", model, "--data", data, "--intervention", artifact, "--m", "2", "--max-new-tokens", 4)
    assert run(*line, "--out", first)[0] == 0
    again = ("judge", "--texts", first, "--out", to, "--judge", "openai:grader", "--judge-url", graded.url)
    assert "--data missing" in sentence(*again)
    code, out, err = run(*again, "--data", data, "--agree", first)
    assert code == 0, err
    assert "agreement" in out
    assert [line.split()[0] for line in out.split("agreement")[1].splitlines()[2:] if line.strip()][:2] == [
        "carries",
        "fluency",
    ]
    one, two = pd.read_csv(first, keep_default_na=False), pd.read_parquet(to)
    assert two[["m1", "prompt", "text"]].to_numpy().tolist() == one[["m1", "prompt", "text"]].to_numpy().tolist()
    same = tmp_path / "c.csv"
    assert run(*line[:7], "--texts", first, "--out", same)[0] == 0
    assert same.read_bytes() == first.read_bytes(), "the same judge of the written texts says the same"


def test_texts_of_apply_need_no_data_where_the_concept_is_said(
    run: Run, sentence: Sentence, graded: FakeService, model: Path, artifact: Path, tmp_path: Path
) -> None:
    written, to = tmp_path / "said.jsonl", tmp_path / "t.csv"
    assert (
        run(*apply_line(model, artifact, "--prompt", "Hi", "--prompt", "How?", "--m", "1,2", "--out", written))[0] == 0
    )
    line = ("judge", "--texts", written, "--out", to, "--judge-url", graded.url, "--judge", "openai:grader")
    assert "--judge-concept" in sentence(*line)
    code, _, err = run(*line, "--judge-concept", "cheer")
    assert code == 0, err
    table = pd.read_csv(to)
    assert table["m1"].tolist() == [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]
    assert table["prompt"].tolist() == [0, 1] * 3


def test_an_unreadable_grade_is_empty_and_its_prompt_counts_nowhere(
    run: Run, graded: FakeService, artifact: Path, tmp_path: Path
) -> None:
    texts = [{"m1": m, "prompt": k, "text": f"text {k} at {m}"} for k in range(3) for m in (0, 1)]
    written = write_rows(tmp_path / "w.jsonl", texts)
    data, to = write_rows(tmp_path / "pairs.jsonl", ROWS), tmp_path / "t.csv"
    graded.answer = lambda messages: "?" if "text 1 at 1" in messages[1]["content"] else "Score: 1"
    line = ("judge", "--texts", written, "--data", data, "--out", to, "--judge", "openai:g", "--judge-url", graded.url)
    code, _, err = run(*line, "--judge-scales", "fluency")
    assert code == 0, err
    assert "1 of fluency" in err
    assert pd.read_csv(to)["fluency"].isna().sum() == 1, "empty, not 0"
    found = JudgedTexts.read(to)
    assert found.left_out == 1
    assert found.overall.tolist() == [[1.0, 1.0]] * 2
    table = pd.read_csv(to, dtype=str, keep_default_na=False)
    table.loc[0, "overall"] = "good"
    table.to_csv(to, index=False)
    with pytest.raises(DataError, match="overall is 'good'"):
        JudgedTexts.read(to)


@pytest.mark.usefixtures("no_model")
def test_options_that_would_not_count_are_refused(sentence: Sentence, artifact: Path, tmp_path: Path) -> None:
    to, texts = tmp_path / "t.csv", write_rows(tmp_path / "w.jsonl", [{"m1": 0, "prompt": 0, "text": "x"}])
    assert "--model, --data, --intervention, --m missing" in sentence("judge", "--out", to)
    assert "leave one out" in sentence("judge", "--out", to, "--texts", texts, "--m", "1")
    assert "for --judge self" in sentence("judge", "--out", to, "--texts", texts)
    line = ("judge", "--out", to, "--texts", texts, "--data", "testbed:power", "--judge", "testbed")
    assert "--judge-url is for judges that ask" in sentence(*line, "--judge-url", "http://localhost/v1")
    assert "'text' is missing" in sentence(
        *line[:3], "--texts", write_rows(tmp_path / "e.jsonl", [{"prompt": 0}]), *line[5:]
    )
    none = write_rows(tmp_path / "n.jsonl", [{"prompt": "Hello?", "text": "x"}])
    assert "no pair of the data has the prompt" in sentence(*line[:4], none, *line[5:])


def test_texts_of_a_sweep_are_judged_and_recommended_by(
    run: Run, graded: FakeService, model: Path, artifact: Path, tmp_path: Path
) -> None:
    data, sweep = write_rows(tmp_path / "pairs.jsonl", ROWS), tmp_path / "s.parquet"
    assert run(*sweep_line(model, data, artifact, sweep, "--split", "dev", "--texts", 3))[0] == 0
    to = tmp_path / "t.csv"
    graded.answer = lambda messages: f"Score: {len(messages[1]['content']) % 3}"
    line = ("judge", "--texts", tmp_path / "s.texts.json", "--data", data, "--judge", "openai:g", "--out", to)
    code, _, err = run(*line, "--judge-url", graded.url, "--judge-concept", "leading")
    assert code == 0, err
    assert JudgedTexts.read(to).m.tolist() == [-4.0, -2.0, 0.0, 2.0, 4.0]
    code, out, err = run("recommend", sweep, "--texts", to)
    assert code == 0, err
    assert "text" in out


@pytest.mark.parametrize("judge", ["openai:g", "self", "accuracy"])
def test_a_sweep_has_its_texts_judged(
    run: Run, sentence: Sentence, graded: FakeService, model: Path, artifact: Path, tmp_path: Path, judge: str
) -> None:
    rows = [row | {"positive": "Yes", "negative": "No"} for row in ROWS] if judge == "accuracy" else ROWS
    data, sweep = write_rows(tmp_path / "pairs.jsonl", rows), tmp_path / "s.parquet"
    line = sweep_line(model, data, artifact, sweep, "--split", "dev", "--judge", judge)
    line = (*line, "--judge-url", graded.url) if judge == "openai:g" else line
    assert "--texts N: give both" in sentence(*line)
    code, _, err = run(*line, "--texts", 2)
    assert code == 0, err
    found = pd.read_csv(tmp_path / "s.judged.csv", keep_default_na=False)
    assert found["m1"].tolist() == [m for m in (-4.0, -2.0, 0.0, 2.0, 4.0) for _ in range(2)]
    assert "cut_off" not in found
    written = pd.read_json(tmp_path / "s.texts.json")
    assert sorted(found["text"]) == sorted(written["text"])
    if judge != "accuracy":
        assert JudgedTexts.read(tmp_path / "s.judged.csv").overall.shape == (2, 5)
