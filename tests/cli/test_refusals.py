"""Commands that are given what cannot be used say so in one sentence, with code 2, and leave nothing behind."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from easyedit_split.steering.artifact import Artifact

from ..small import made, world
from .shared import Run, Sentence, apply_line, write_rows
from .training_commands import FAST, trained


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--form", "vectr"), "unknown form 'vectr' (did you mean 'vector'?)"),
        (("--objective", "splt"), "did you mean 'split'"),
        (("--form", "lora", "--objective", "diff_mean"), "'diff_mean' cannot train form 'lora'"),
        (("--layer", "9"), "layer 9 does not exist: this model has blocks 0 to 2"),
        (("--set", "train.lrr=1"), "unknown key 'lrr' (did you mean 'lr'?)"),
        (("--set", "train.lr=fast"), "wanted float"),
        (("--set", "train.epochs"), "write key=value"),
        (("--placement", "block"), "block_output"),
        (("--dtype", "float8"), "unknown dtype 'float8'"),
        (("--split", "test"), "pairs.jsonl: has no split 'test'"),
        (("--split", "tset"), "unknown split 'tset'; allowed: train, test, dev"),
        (("--columns", "prompt"), "write prompt=NAME"),
    ],
)
def test_bad_settings_are_one_sentence_and_code_2_and_leave_nothing(
    run: Run, model: Path, data: Path, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    before = sorted(tmp_path.iterdir())
    code, out, err = run(
        "train", "--model", model, "--data", data, "--layer", 1, "--out", tmp_path / "x", *FAST, *arguments
    )
    assert code == 2
    assert words in err
    assert out == ""
    assert "Traceback" not in err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"prompt": "a", "positive": "b"}], "negative"),
        (
            [{"prompt": "a", "positive": "b", "negative": "c"}, {"prompt": " ", "positive": "b", "negative": "c"}],
            "row 1",
        ),
        ([{"prompt": "a", "positive": "b", "negative": "b"}], "row 0"),
        ([{"prompt": "a " * 900, "positive": "b", "negative": "c"}], "max_length is 512"),
    ],
)
def test_a_bad_row_is_named_with_its_file(
    run: Run, model: Path, tmp_path: Path, rows: list[dict[str, str]], words: str
) -> None:
    file = write_rows(tmp_path / "bad.jsonl", rows)
    code, _, err = run("train", "--model", model, "--data", file, "--layer", 1, "--out", tmp_path / "x", *FAST)
    assert code == 2
    assert "bad.jsonl" in err
    assert words in err


def test_a_sweep_of_a_damaged_artifact_or_to_an_unknown_format_is_refused(
    run: Run, model: Path, data: Path, tmp_path: Path
) -> None:
    artifact = trained(run, model, data, tmp_path / "vector")
    arguments = ("sweep", "--model", model, "--data", data, "--intervention", artifact, "--m", "0,1")
    code, _, err = run(*arguments, "--out", tmp_path / "s.xlsx")
    assert code == 2
    assert ".parquet" in err
    assert run(*arguments, "--out", tmp_path / "s.csv", "--normalize", "median")[0] == 2
    tensors = bytearray((artifact / "steering.safetensors").read_bytes())
    tensors[-3] ^= 1
    (artifact / "steering.safetensors").write_bytes(tensors)
    code, _, err = run(*arguments, "--out", tmp_path / "s.csv")
    assert code == 2
    assert "digest" in err


def test_a_concept_that_the_artifact_has_not_is_refused(
    run: Run, sentence: Sentence, model: Path, artifact: Path, tmp_path: Path
) -> None:
    two = Artifact({"joy": made(world()), "fear": made(world(), seed=8)}).save_pretrained(tmp_path / "two")
    line = ("--prompt", "Hello", "--concept")
    assert "trained without concepts: leave --concept out" in sentence(*apply_line(model, artifact, *line, "joy"))
    assert "no concept 'yoy' (did you mean 'joy'?)" in sentence(*apply_line(model, two, *line, "yoy"))
    assert "name one of joy, fear" in sentence(*apply_line(model, two, *line[:2]))
    assert run(*apply_line(model, artifact, *line, "default"))[0] == 0
    texts = {run(*apply_line(model, two, "--m", 30, *line, concept))[1] for concept in two_names(two)}
    assert len(texts) == 2


def two_names(folder: Path) -> tuple[str, ...]:
    return Artifact.from_pretrained(folder).concepts


@pytest.mark.parametrize(("option", "value", "words"), [("--prompt", " ", "--prompt is empty"), ("--m", "nan", "nan")])
@pytest.mark.usefixtures("no_model")
def test_inspect_refuses_what_it_cannot_try(
    sentence: Sentence, artifact: Path, option: str, value: str, words: str
) -> None:
    assert words in sentence("inspect", artifact, "--model", "absent", option, value)


@pytest.mark.parametrize("step", [{"step": 1}, {"step": 1, "loss": "low"}, {"loss": None}])
def test_inspect_of_a_history_without_a_loss(
    sentence: Sentence, run: Run, artifact: Path, tmp_path: Path, step: dict[str, Any]
) -> None:
    folder = shutil.copytree(artifact, tmp_path / "x")
    write_rows(folder / "history.jsonl", [{"concept": "default", **step}])
    assert "history.jsonl" in sentence("inspect", folder)
    write_rows(folder / "history.jsonl", [{"concept": "default", "step": 1, "loss": 0.25}])
    code, out, _ = run("inspect", folder)
    assert code == 0
    assert "0.2500" in out


def test_demo_checks_its_folder_first(sentence: Sentence, tmp_path: Path, no_model: None) -> None:
    (tmp_path / "report.md").write_text("mine")
    assert "exists already" in sentence("demo", "--out", tmp_path)
    (tmp_path / "sweep.parquet").mkdir()
    assert "sweep.parquet is a folder" in sentence("demo", "--out", tmp_path, "--overwrite")
    assert "did you mean 'testbed'" in sentence("demo", "--model", "testbad", "--out", tmp_path / "new")


@pytest.mark.parametrize(
    "line",
    [
        ("recommend", "caf\udce9.parquet"),
        ("pairs", "--model", "m", "--from", "p.txt", "--system", "like a \udcff", "--out", "p.jsonl"),
        ("paper", "--model", "m", "--datasets", "caf\udce9.csv", "--out", "study"),
    ],
)
@pytest.mark.usefixtures("no_model")
def test_words_that_are_no_text_are_refused_where_they_are_read(
    sentence: Sentence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "holds bytes that are not UTF-8" in sentence(*line)
    assert not list(tmp_path.iterdir())
    whole = [word.replace("\udce9", "é").replace("\udcff", "ÿ") for word in line]
    assert "UTF-8" not in sentence(*whole)  # control: another thing is wrong then
