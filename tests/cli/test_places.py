"""Where a result cannot go is said before a model is loaded, and what the file system refuses is one sentence."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from .shared import Run, Sentence, apply_line, sweep_line, train_line


@pytest.fixture
def lines(model: Path, data: Path, artifact: Path) -> Any:
    """``lines(command, out, more)``: a command line of `train`, `sweep` or `apply`."""

    def line(command: str, to: Path, *more: object) -> tuple[object, ...]:
        if command == "train":
            return train_line(model, data, to, *more)
        if command == "sweep":
            return sweep_line(model, data, artifact, to.with_suffix(".csv"), *more)
        return apply_line(model, artifact, "--prompt", "Hello", "--out", to, *more)

    return line


COMMANDS = pytest.mark.parametrize("command", ["train", "sweep", "apply"])


@COMMANDS
@pytest.mark.usefixtures("no_model")
def test_below_a_file_nothing_can_be_put(sentence: Sentence, lines: Any, data: Path, command: str) -> None:
    for place in (data / "x", data / "deep" / "x"):
        assert f"{data} is a file, not a folder" in sentence(*lines(command, place))


@COMMANDS
@pytest.mark.usefixtures("no_model")
def test_without_permission_nothing_is_begun(
    sentence: Sentence, lines: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    assert f"no permission to write into {tmp_path}" in sentence(*lines(command, tmp_path / "new" / "x"))


@COMMANDS
@pytest.mark.usefixtures("no_model")
def test_a_name_that_no_file_can_have_is_one_sentence(
    sentence: Sentence, lines: Any, tmp_path: Path, command: str
) -> None:
    assert "cannot be used (File name too long)" in sentence(*lines(command, tmp_path / ("x" * 300)))


@pytest.mark.usefixtures("no_model")
def test_a_folder_is_never_replaced_by_a_file(sentence: Sentence, lines: Any, tmp_path: Path) -> None:
    (tmp_path / "d.csv").mkdir()
    for command in ("sweep", "apply"):
        assert "d.csv is a folder: name a file" in sentence(*lines(command, tmp_path / "d.csv", "--overwrite"))


@pytest.mark.usefixtures("no_model")
def test_only_an_artifact_is_replaced_by_an_artifact(sentence: Sentence, lines: Any, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.tex").write_text("all my work")
    assert "not an artifact" in sentence(*lines("train", folder, "--overwrite"))
    assert "is a file: name a folder" in sentence(*lines("train", folder / "thesis.tex", "--overwrite"))
    folder.rename(tmp_path / "x-last-good")
    assert "x-last-good holds something that is not an artifact" in sentence(*lines("train", tmp_path / "x"))


@pytest.mark.usefixtures("no_model")
def test_the_folder_one_stands_in_is_not_replaced(
    sentence: Sentence, lines: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert "name a folder for --out" in sentence(*lines("train", Path(), "--overwrite"))


def test_control_an_artifact_a_file_and_an_empty_folder_are_replaced(
    run: Run, lines: Any, artifact: Path, tmp_path: Path
) -> None:
    shutil.copytree(artifact, tmp_path / "x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.csv").write_text("old")
    for line in (lines("train", tmp_path / "x"), lines("sweep", tmp_path / "x")):
        code, _, err = run(*line)
        assert code == 2
        assert "exists already" in err
    for line in (lines("train", tmp_path / "x"), lines("train", tmp_path / "empty"), lines("sweep", tmp_path / "x")):
        assert run(*line, "--overwrite")[0] == 0
    assert (tmp_path / "x.csv").read_text() != "old"


@COMMANDS
def test_a_full_disk_is_one_sentence(
    sentence: Sentence, lines: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    monkeypatch.setattr(os, "rename", full)
    assert "cannot be written (No space left on device): choose another place" in sentence(
        *lines(command, tmp_path / "new" / "x")
    )
