"""The README's Python runs as it stands, and its command lines name commands and options that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from easyedit_split.cli.main import app

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.slow
def test_the_python_block_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = blocks("python")
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})
    printed = capsys.readouterr().out
    assert "pref" in printed
    assert "Applied(site='1.residual'" in printed
    assert (tmp_path / "reviews-vector" / "steering_config.json").is_file()


def test_every_command_line_names_a_command_and_options_that_exist() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    lines = [line for block in blocks("console") for line in block.splitlines() if line.startswith("easyedit-split")]
    assert len(lines) >= 8
    for line in lines:
        _, name, *rest = shlex.split(line)
        assert name in commands, line
        known = {option for parameter in commands[name].params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= known, line
    assert "no-such-command" not in commands
