"""What the commands share: the console, progress bars with time left, and opening models and data from options."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..analysis import CurveKey
from ..datasets.base import DATASETS, PairTable
from ..datasets.load import load_dataset
from ..pipeline import Source
from ..types import ConfigError

console = Console(stderr=True)
"""Messages and progress; results go to standard output."""
out = Console()

MODEL_HELP = "Hugging Face id, a folder, or testbed:gemma2 / testbed:qwen2."
DATA_HELP = (
    "psychopathy, powerseeking, axbench (optionally :PATH), testbed:reviews|persona|power|concepts, "
    "or a jsonl/json/csv/parquet file."
)


def set_up_logging(verbose: bool = False) -> None:
    """Show this package's messages on standard error."""
    handler = RichHandler(console=console, show_time=False, show_path=False, show_level=True)
    logger = logging.getLogger("easyedit_split")
    logger.handlers = [handler]
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)
    logger.propagate = False


@contextmanager
def bar(label: str) -> Iterator[Any]:
    """A progress bar; yields ``advance(done, total, note="")``."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=not console.is_terminal) as progress:
        task = progress.add_task(label, total=None, note="")

        def advance(done: int, total: int, note: str = "") -> None:
            progress.update(task, completed=done, total=total, note=note)

        yield advance


def parse_columns(text: str | None) -> dict[str, str] | None:
    """``"prompt=q,positive=good,negative=bad"`` as a mapping.

    Raises:
        ConfigError: not of that form.
    """
    if text is None:
        return None
    columns = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals or not key.strip() or not value.strip():
            raise ConfigError(f"--columns {text}: write prompt=NAME,positive=NAME,negative=NAME[,concept=NAME]")
        columns[key.strip()] = value.strip()
    return columns


def open_data(
    data: str,
    split: str | None,
    *,
    default_split: str | None = None,
    seed: int = 0,
    columns: str | None = None,
    concept_id: int | None = None,
    drop_bad: bool = False,
    limit: int | None = None,
) -> tuple[PairTable, Source]:
    """Pairs of ``--data``, and their record; notes are printed.

    Args:
        default_split: taken for datasets that have splits where ``split`` is None; a file of one's own is used whole.
    """
    has_splits = data.split(":")[0] in {*DATASETS.names(), "testbed"} - {"local"}
    chosen = split or (default_split if has_splits else None)
    table = load_dataset(
        data,
        split=chosen,
        seed=seed,
        columns=parse_columns(columns),
        concept_id=concept_id,
        drop_bad=drop_bad,
        limit=limit,
    )
    for note in table.notes:
        console.print(f"[dim]{table.name}: {note}[/dim]", highlight=False)
    return table, Source(table.name, chosen or "", table.source, table.rows, table.sha256)


def open_model(name: str, dtype: str | None, device: str | None) -> tuple[Any, Any]:
    """``(model, tokenizer)`` of ``--model``."""
    from transformers.utils import logging as transformers_logging

    from ..models import load_model

    transformers_logging.disable_progress_bar()
    with console.status(f"loading {name}"):
        return load_model(name, dtype=dtype, device=device)


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raise before any work where the result's place is taken.

    Raises:
        ConfigError: ``path`` exists and ``--overwrite`` was not given.
    """
    if path.exists() and not overwrite:
        raise ConfigError(f"{path} exists already: choose another --out, or say --overwrite")


def short_label(key: CurveKey) -> str:
    """A curve's name in a table: form x objective, data, model, and the placement where it is not the usual one."""
    method = " x ".join(part for part in (key.form, key.objective) if part)
    data = " ".join(part for part in (key.dataset.removeprefix("testbed:"), key.split) if part)
    where = f"at {key.site}" if key.site else ""
    place = "(site)" if key.placement == "site" else ""
    return ", ".join(p for p in (method, data, key.model, f"{where} {place}".strip()) if p) or "curve"
