"""Artifacts trained by the command line."""

from __future__ import annotations

from pathlib import Path

from .shared import Run

FAST = ("--set", "train.epochs=1", "--set", "train.lr=0.01")


def trained(run: Run, model: Path, data: Path, to: Path, *more: object) -> Path:
    code, _, err = run("train", "--model", model, "--data", data, "--layer", 1, "--out", to, *FAST, *more)
    assert code == 0, err
    return to
