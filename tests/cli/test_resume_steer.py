"""A stopped ``steer`` goes on where it was, in training and in everything after it, and ends in the same bytes."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from easyedit_split.files.journal import Journal
from easyedit_split.training.checkpoint import Checkpoints

from .shared import ROWS, Run, hidden, write_rows

KEPT = [".out.checkpoint", ".out.journal"]


def files(folder: Path) -> dict[str, bytes]:
    """What a run left; its report names its folder."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {str(p.relative_to(folder)): p.read_bytes().replace(str(folder).encode(), b"") for p in found}


@pytest.fixture
def steer_line(model: Path, data: Path) -> Callable[[Path], tuple[object, ...]]:
    write_rows(data, [{**row, "prompt": f"{row['prompt']} {i}"} for i in range(3) for row in ROWS])
    fast = ("--set", "train.epochs=1", "--neutral", 2, "--texts", 1, "--max-new-tokens", 3, "--m", "r:-0.5:0.5:3")
    line = ("steer", "--model", model, "--data", data, "--form", "vector", "--objective", "split", "--layer", "auto")
    return lambda to: (*line, *fast, "--max-kl", 5, "--out", to)


def stop_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C comes while the second step is taken."""
    real, seen = Checkpoints.after_step, []

    def counted(self: Checkpoints, runs: Any) -> None:
        seen.append(1)
        if len(seen) == 2:
            signal.raise_signal(signal.SIGINT)
        real(self, runs)

    monkeypatch.setattr(Checkpoints, "after_step", counted)


def stop_after(monkeypatch: pytest.MonkeyPatch, parts: int) -> list[str]:
    """Ctrl-C comes after so many parts; returns the stages of those that were finished."""
    append, seen = Journal.append, list[str]()

    def counted(self: Journal, record: dict[str, Any]) -> None:
        append(self, record)
        seen.append(record["of"])
        if len(seen) == parts:
            raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "append", counted)
    return seen


def test_a_stopped_steer_ends_in_the_bytes_of_an_uninterrupted_one(
    run: Run, steer_line: Callable[[Path], tuple[object, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as whole_run:
        every = stop_after(whole_run, -1)
        code, _, err = run(*steer_line(tmp_path / "whole" / "out"))
    assert code == 0, err
    assert hidden(tmp_path / "whole") == []
    stages = [name.split(",")[0].split(" at ")[0] for name in dict.fromkeys(every)]
    assert stages[:2] == ["layer scan", "the sweep that chooses m"]
    assert {"side effects", "texts"} < {*stages}
    to = tmp_path / "part" / "out"
    with monkeypatch.context() as here:
        stop_training(here)
        code, _, err = run(*steer_line(to))
    assert (code, hidden(to.parent)) == (130, KEPT)
    assert "run the same command again to resume" in err
    assert not [*to.iterdir()]
    done = ["layer scan"]
    for parts in (2, len(every) // 2):
        with monkeypatch.context() as here:
            seen = stop_after(here, parts)
            code, _, err = run(*steer_line(to))
        assert (code, hidden(to.parent)) == (130, KEPT)
        assert f"finished parts are in {to.parent / '.out.journal'}: run the same command again to resume" in err
        done += seen
    seen = stop_after(monkeypatch, -1)
    code, _, err = run(*steer_line(to))
    assert code == 0, err
    assert [*done, *seen] == every, "no part is done twice"
    assert files(to) == files(tmp_path / "whole" / "out")
    assert hidden(to.parent) == []


def test_another_seed_of_training_does_not_go_on_with_it(
    run: Run, steer_line: Callable[[Path], tuple[object, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as here:
        stop_after(here, 3)
        assert run(*steer_line(tmp_path / "out"))[0] == 130
    other = ("--set", "train.seed=7")
    code, _, err = run(*steer_line(tmp_path / "out"), *other)
    assert code == 0, err
    assert "belongs to a run with other settings (plan.overrides)" in err
    assert run(*steer_line(tmp_path / "bare" / "out"), *other)[0] == 0
    assert files(tmp_path / "out") == files(tmp_path / "bare" / "out")
    assert hidden(tmp_path) == [".out.checkpoint.old", ".out.journal.old"]
