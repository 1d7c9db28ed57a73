"""Pairs in a file, and the words of command lines, for the tests of the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Run = Callable[..., tuple[int, str, str]]
Sentence = Callable[..., str]

ROWS: tuple[dict[str, Any], ...] = tuple(
    {
        "prompt": f"Is statement {i} something you would say?",
        "positive": f"Yes, {i} is.",
        "negative": f"No, not {i}.",
    }
    for i in range(6)
)


def write_rows(file: Path, rows: Sequence[dict[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


def read_rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").split("\n") if line]


def train_line(model: Path, data: Path, to: Path, *more: object) -> tuple[object, ...]:
    """One epoch of `train`."""
    settings = ("--layer", 1, "--set", "train.epochs=1", "--set", "train.lr=0.01")
    return ("train", "--model", model, "--data", data, "--out", to, *settings, *more)


def sweep_line(model: Path, data: Path, artifact: Path, to: Path, *more: object) -> tuple[object, ...]:
    """`sweep` over five m."""
    known = ("sweep", "--model", model, "--data", data, "--intervention", artifact, "--out", to)
    return (*known, "--m", "-4:4:5", *more)


def apply_line(model: Path, artifact: Path, *more: object) -> tuple[object, ...]:
    """`apply` with short answers."""
    return ("apply", "--model", model, "--intervention", artifact, "--max-new-tokens", 4, *more)


def hidden(folder: Path) -> list[str]:
    """Names of what a run left under way."""
    return sorted(path.name for path in folder.rglob(".*"))
