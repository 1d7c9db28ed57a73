"""What a page shows of the folder that ``steer`` writes: see ``study.report``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from ...files.frames import read_frame, require_columns
from ...steering.artifact import Artifact
from ...sweep_table import read_sweep
from ...types import DataError
from ..report import ARTIFACT
from .contents import Contents, PageRun, PageTable, Strength, Written, curves_from, written_from

SWEEP, DEV, TEXTS, JUDGED = "sweep.parquet", "sweep-dev.parquet", "texts.json", "judged.csv"
OTHERS = {"layers.csv": "Layer scan", "collateral.csv": "Side effects on neutral prompts"}
MOST_ROWS, MOST_SHOWN = 200, 400
NUMBERS = ("m1", "r", "kl", "tokens", "layer", "gained", "wanted", "pref", "util")


def is_steer_folder(folder: Path) -> bool:
    """Whether ``steer`` wrote a folder.

    Args:
        folder: any.
    """
    return (folder / SWEEP).is_file() and (folder / ARTIFACT).is_dir()


def steer_contents(folder: Path, progress: Callable[[int, int], None] | None = None) -> Contents:
    """Read the folder of a run of ``steer``.

    Args:
        folder: the run's.
        progress: called with (curves read, curves in all).

    Raises:
        DataError, ArtifactError: a file of it cannot be read.
    """
    artifact = Artifact.from_pretrained(folder / ARTIFACT)
    table = read_sweep(folder / SWEEP)
    best, written = _named(artifact.record.get("objective")), _written(folder)
    chosen = next(iter(artifact.chosen.values()), None)
    runs = []
    parts = _parts(table)
    for done, (form, objective, rows) in enumerate(parts, 1):
        own = objective in (best, "")
        strengths = (
            ()
            if chosen is None or not own
            else (Strength("recommended", chosen.m1, str(chosen.evidence.get("reason", ""))),)
        )
        first = rows.iloc[0]
        named = (
            str(first.get("model", "")),
            str(first.get("dataset", "")),
            f"{form}-{objective}",
            _seed(first.get("seed")),
        )
        curves = curves_from(rows, str(folder / SWEEP))
        runs.append(PageRun(*named, curves=curves, strengths=strengths, written=written if own else ()))
        if progress is not None:
            progress(done, len(parts))
    title = f"Steering of {runs[0].model or 'a model'} by {runs[0].dataset or folder.name}"
    return Contents(title, tuple(runs), tuple(_tables(folder)), _settings(artifact))


def _parts(table: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    """The sweep of each objective."""
    for name in ("form", "objective"):
        if name not in table.columns:
            raise DataError(f"{SWEEP}: column {name!r} is missing: name a folder that `easyedit-split steer` wrote")
    return [(str(form), str(what), rows) for (form, what), rows in table.groupby(["form", "objective"], sort=False)]


def _written(folder: Path) -> tuple[Written, ...]:
    """Texts of held-out prompts at four m, and those that were judged."""
    rows: list[tuple[str, float, str, str]] = []
    for name, prompt in ((TEXTS, "prompt"), (JUDGED, "question")):
        if (folder / name).is_file():
            table = read_frame(folder / name, ("m1",))
            require_columns(table, folder / name, ("text",), ("m1",))
            if prompt in table.columns:
                rows += [
                    ("", float(m), str(said), str(text))
                    for m, said, text in zip(table["m1"], table[prompt], table["text"], strict=True)
                ]
    return written_from(rows)


def _tables(folder: Path) -> Iterator[PageTable]:
    for name, heading in OTHERS.items():
        if (folder / name).is_file():
            frame = read_frame(folder / name, NUMBERS)
            if name == "collateral.csv":
                require_columns(frame, folder / name, numbers=("m1", "kl", "tokens"))
                frame = frame.groupby("m1", as_index=False)[["kl", "tokens"]].sum()
                frame = frame.assign(**{"KL (nats per token)": frame["kl"] / frame["tokens"]})
            cells = tuple(
                tuple(_cell(cell) for cell in row) for row in frame.head(MOST_ROWS).itertuples(index=False, name=None)
            )
            yield PageTable(heading, tuple(map(str, frame.columns)), cells)


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _named(objective: Any) -> str:
    """Name of the objective in an artifact's record."""
    return str(objective.get("name", "")) if isinstance(objective, Mapping) else str(objective or "")


def _seed(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and value == value else 0


def _settings(artifact: Artifact) -> tuple[tuple[str, str], ...]:
    """The artifact's configuration and its record, one value a line."""
    config = {name: value for name, value in asdict(artifact.config).items() if not isinstance(value, Mapping)}
    return tuple(_lines({**config, **artifact.record}))


def _lines(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _lines(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", str(value)[:MOST_SHOWN]
