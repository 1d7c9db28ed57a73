"""A tiny model and an artifact of it as ordinary folders, a file of pairs, and command lines run in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from easyedit_split.cli import console as common
from easyedit_split.cli import main as cli
from easyedit_split.steering.artifact import Artifact

from ..small import made, saved_model, world
from .shared import ROWS, Run, write_rows


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen2 with a chat tokenizer, as an ordinary Hugging Face folder."""
    return saved_model(tmp_path_factory.mktemp("models") / "tiny-qwen2")


@pytest.fixture(scope="session")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with other weights."""
    return saved_model(tmp_path_factory.mktemp("models") / "other-qwen2", seed=1)


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random vector for the tiny model, without concepts."""
    return Artifact({"default": made(world())}).save_pretrained(tmp_path_factory.mktemp("artifacts") / "vector")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "pairs.jsonl", ROWS)


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading a model fails the test."""

    def load_model(*args: Any, **settings: Any) -> Any:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("easyedit_split.model.load.load_model", load_model)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in this process; returns (code, standard output, standard error).

    With ``width`` standard output is a terminal of so many columns, else a pipe.
    """

    def call(*args: object, width: int | None = None) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["easyedit-split", *map(str, args)])
        monkeypatch.setattr(common.out, "_width", width)
        monkeypatch.setattr(common.out, "_force_terminal", None if width is None else True)
        code: Any = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code or 0
        captured = capsys.readouterr()
        return int(code), captured.out, captured.err

    return call


@pytest.fixture
def sentence(run: Run) -> Any:
    """Run a command line that must fail with code 2 and one sentence; returns standard error."""

    def call(*args: object) -> str:
        code, out, err = run(*args)
        assert code == 2, err
        assert out == ""
        assert "Traceback" not in err
        return err

    return call
