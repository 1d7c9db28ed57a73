"""``--help``, ``--version`` and completion answer at once: nothing heavy is imported, and nothing is left out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.testing import CliRunner

from easyedit_split import __version__
from easyedit_split.cli import lazy
from easyedit_split.cli.lazy import COMMANDS, FIRST, Commands, command_names, description_of, load_command
from easyedit_split.cli.main import app

HEAVY = {"torch", "transformers", "numpy", "pandas", "scipy", "pyarrow", "matplotlib", "jaxtyping", "safetensors"}
RUN = """
import sys
sys.argv = ["easyedit-split", *sys.argv[1:]]
from easyedit_split.cli.main import main
try:
    main()
except SystemExit as stop:
    assert not stop.code or len(sys.argv) == 1, stop.code
print("LOADED", *{name.split(".")[0] for name in sys.modules})
"""


def run(*arguments: str, **environment: str) -> tuple[str, set[str]]:
    """Output of a command line in a fresh process, and the top-level packages that it loaded."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "100", **environment},
    )
    assert done.returncode == 0, done.stderr
    text, _, loaded = done.stdout.rpartition("LOADED")
    return text, set(loaded.split())


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], [], ["--version"]])
def test_what_is_asked_of_the_whole_loads_nothing_heavy(arguments: list[str]) -> None:
    text, loaded = run(*arguments)
    assert loaded.isdisjoint(HEAVY), loaded & HEAVY
    assert (__version__ in text) if arguments == ["--version"] else all(name in text for name in COMMANDS)


def test_completion_loads_nothing_heavy() -> None:
    asked = {"_EASYEDIT_SPLIT_COMPLETE": "complete_bash", "COMP_WORDS": "easyedit-split de", "COMP_CWORD": "1"}
    text, loaded = run(**asked)
    assert text.split() == ["demo", "deactivate"]
    assert loaded.isdisjoint(HEAVY), loaded & HEAVY


def test_control_a_commands_own_help_loads_what_it_needs() -> None:
    text, loaded = run("fit", "--help")
    assert "--solver" in text
    assert {"pandas", "scipy"} <= loaded
    assert "torch" not in loaded


def test_the_help_is_that_of_the_loaded_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Descriptions are read from the sources; the real commands would be listed with the same words."""
    monkeypatch.setenv("COLUMNS", "100")
    light = CliRunner().invoke(app, ["--help"]).stdout
    monkeypatch.setattr(Commands, "format_help", TyperGroup.format_help)
    assert light == CliRunner().invoke(app, ["--help"]).stdout
    for name in COMMANDS:
        assert description_of(name)
        assert load_command(name).help == description_of(name), name


def test_control_another_description_is_another_help(monkeypatch: pytest.MonkeyPatch) -> None:
    before = CliRunner().invoke(app, ["--help"]).stdout
    monkeypatch.setattr(lazy, "description_of", lambda name: "Something else.")
    assert CliRunner().invoke(app, ["--help"]).stdout != before


def test_a_new_file_is_a_new_command(tmp_path: Path) -> None:
    """No list names it; what is no command of its own (``_helper``) is none, and what is named first but absent too."""
    for stem in ("zeta", "train", "alpha", "demo", "_helper", "__init__"):
        (tmp_path / f"{stem}.py").touch()
    (tmp_path / "notes.txt").touch()
    assert command_names(tmp_path) == ("demo", "train", "alpha", "zeta")
    assert set(FIRST) <= set(COMMANDS), "every name that is put first has its file"
    with pytest.raises(KeyError):
        load_command("_helper")


def test_the_package_runs_as_a_module() -> None:
    run = subprocess.run([sys.executable, "-m", "easyedit_split", "--help"], capture_output=True, text=True, check=True)
    assert "steer" in run.stdout
    wrong = subprocess.run([sys.executable, "-m", "easyedit_split", "stear"], capture_output=True, text=True)
    assert wrong.returncode == 2, "control"
