"""Progress without a terminal: a line now and then that says how far it is and how long it will take."""

from __future__ import annotations

import time

import pytest

from easyedit_split.cli import console


def test_a_log_says_how_far_and_how_long(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = iter([0.0, 10.0, 40.0, 50.0, 100.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    with console.bar("training") as advance:
        advance(1, 10)  # after 10 s: too soon to say
        advance(4, 10, "loss 1.50")
        advance(5, 10)  # 10 s after the last line
        advance(10, 10)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "training: 4 of 10, 0:40 gone, about 1:00 left, loss 1.50",
        "training: 10 of 10, 1:40 gone, about 0:00 left",
    ]


def test_control_a_terminal_has_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(console.console, "_force_terminal", True)
    monkeypatch.setattr(console, "EVERY", 0.0)
    with console.bar("training") as advance:
        advance(4, 10)
    assert "4 of 10, " not in capsys.readouterr().err
