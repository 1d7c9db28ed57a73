"""``paper`` from the command line: a dry run makes nothing, a run makes tables, the same command finds them made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from easyedit_split.cli.main import app

from ..small import saved_model
from ..study.paper.tiny_study import write_pairs

RUNNER = CliRunner()


def command(here: Path, *more: str) -> list[str]:
    return [
        "paper", "--model", str(here / "model"), "--datasets", str(here / "pairs.jsonl"), "--judge", "accuracy",
        "--cells", "vanilla", "--cells", "vector-diff_mean", "--set", "layers=[1]", "--max-new-tokens", "3",
        "--quick", "--device", "cpu", "--workers", "1", "--out", str(here / "out"), *more,
    ]  # fmt: skip


@pytest.fixture
def here(tmp_path: Path) -> Path:
    saved_model(tmp_path / "model")
    write_pairs(tmp_path / "pairs.jsonl")
    return tmp_path


def test_a_dry_run_says_what_it_would_make_and_makes_nothing(here: Path) -> None:
    result = RUNNER.invoke(app, command(here, "--dry-run"))
    assert result.exit_code == 0, result.output
    assert "vector" not in result.output
    assert "15" in result.output  # items to make
    assert not (here / "out").exists()


def test_a_run_makes_tables_and_is_not_made_twice(here: Path) -> None:
    result = RUNNER.invoke(app, command(here))
    assert result.exit_code == 0, result.output
    table = (here / "out" / "tables" / "table3.md").read_text("utf-8")
    assert "pairs accuracy, best" in table
    assert "DiffMean" in table
    log = (here / "out" / "log.jsonl").read_text("utf-8")
    again = RUNNER.invoke(app, command(here))
    assert again.exit_code == 0, again.output
    assert "15 of 15 items are there already" in again.output
    assert (here / "out" / "log.jsonl").read_text("utf-8") == log


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--cells", "vector-spilt"), "split"),
        (("--judge", "nobody"), "nobody"),
        (("--launcher", "rya"), "did you mean 'ray'"),
        (("--instruction", "nothing"), "DATASET=SENTENCE"),
        (("--seeds", "0"), "at least 1"),
        (("--instruction", "pairs=A", "--instruction", "pairs=B"), "given twice"),
        (("--judge", "accuracy"), "judge accuracy is named twice"),
        (("--judge-url", "http://localhost/v1"), "name one, --judge openai:MODEL"),
    ],
)
def test_what_is_impossible_is_one_sentence(here: Path, more: tuple[str, ...], said: str) -> None:
    result = RUNNER.invoke(app, command(here, *more))
    assert result.exit_code != 0
    assert said in str(result.exception) + result.output
    assert not (here / "out").exists()


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_no_process_makes_no_study(here: Path, more: tuple[str, ...]) -> None:
    line = [word if word != "1" else "0" for word in command(here, *more)]
    result = RUNNER.invoke(app, line)
    assert result.exit_code != 0
    assert "--workers 0: give at least 1" in str(result.exception)
    assert not (here / "out").exists()


def test_a_folder_that_the_shell_was_to_name_is_refused(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here)
    result = RUNNER.invoke(app, [*command(here)[:-2], "--out=~/study"])
    assert "the shell does not read ~ here: write --out ~/study" in str(result.exception)
    assert not (here / "~").exists()


def test_a_dry_run_refuses_what_the_run_would(here: Path) -> None:
    made = RUNNER.invoke(app, command(here))
    assert made.exit_code == 0, made.output
    other = RUNNER.invoke(app, command(here, "--drop-bad", "--dry-run"))
    assert "holds a study of other settings (drop_bad)" in str(other.exception)
    assert RUNNER.invoke(app, command(here, "--dry-run")).exit_code == 0, "control"
    pairs = here / "pairs.jsonl"
    long = json.dumps({"prompt": "word " * 5000, "positive": "Yes", "negative": "No", "split": "test"})
    pairs.write_text(pairs.read_text("utf-8") + long + "\n", "utf-8")
    for more in ((), ("--dry-run",)):
        line = [*command(here, *more)]
        line[line.index("--out") + 1] = str(here / "new")
        result = RUNNER.invoke(app, line)
        assert "pairs.jsonl, row 21" in str(result.exception) + result.output
    assert not list((here / "new").rglob("*.parquet"))
