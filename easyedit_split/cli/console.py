"""What the commands share: the console, progress bars with time left, and opening models and data from options.

The consoles print what they are given: a user's text is never read as Rich's markup or emoji codes. Colour is said by
``style=``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from ..analysis import SweepCurve
from ..datasets.base import PairTable, Split
from ..datasets.load import default_split_of, load_dataset
from ..storage import Journal
from ..types import ConfigError

console = Console(stderr=True, markup=False, emoji=False, highlight=False)
"""Messages and progress; results go to standard output."""
out = Console(markup=False, emoji=False, highlight=False)


def set_up_logging(verbose: bool = False) -> None:
    """Show this package's messages on standard error.

    Args:
        verbose: also messages of level INFO.
    """
    handler = RichHandler(console=console, show_time=False, show_path=False, show_level=True)
    logger = logging.getLogger("easyedit_split")
    logger.handlers = [handler]
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)
    logger.propagate = False


@contextmanager
def bar(label: str) -> Iterator[Any]:
    """A progress bar; yields ``advance(done, total, note="")``.

    Args:
        label: what is under way.

    Yields:
        ``advance(done, total, note="")``.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=console, transient=not console.is_terminal) as progress:
        task = progress.add_task(label, total=None, note="")

        def advance(done: int, total: int, note: str = "") -> None:
            progress.update(task, completed=done, total=total, note=note)

        yield advance


@contextmanager
def resumable(journal: Journal | None) -> Iterator[None]:
    """Say, where a run is stopped by hand, that the same command goes on from what its journal holds.

    Args:
        journal: of the run; None where it keeps none.
    """
    try:
        yield
    except KeyboardInterrupt:
        if journal is not None and journal.holds_parts:
            say(f"stopped; finished parts are kept in {journal.path}: give the same command again to go on")
        raise


def say(text: str, style: str = "") -> None:
    """Print one message, on one line however long.

    Args:
        text: the message.
        style: a rich style, e.g. ``yellow``.
    """
    console.print(text, style=style, soft_wrap=True)


def say_written(what: str, path: Path) -> None:
    """Print what was written, and where.

    Args:
        what: e.g. ``figure``.
        path: the file or folder.
    """
    console.print(Text.assemble(f"{what} written to ", (str(path), "bold")), soft_wrap=True)


def parse_columns(text: str | None) -> dict[str, str] | None:
    """``"prompt=q,positive=good,negative=bad"`` as a mapping.

    Args:
        text: the option's text.

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
    default_split: Split,
    seed: int = 0,
    columns: str | None = None,
    concept_id: int | None = None,
    drop_bad: bool = False,
    limit: int | None = None,
) -> PairTable:
    """Pairs of ``--data``; what the loader did is printed.

    Args:
        data: a dataset's name or a file.
        split: ``--split``.
        default_split: taken where ``split`` is None, of datasets that have splits and of files that declare it; any
            other file is used whole, and that is said.
        seed: ``--split-seed``.
        columns: ``--columns``.
        concept_id: ``--concept-id``.
        drop_bad: ``--drop-bad``.
        limit: ``--limit``.
    """
    chosen = split or default_split_of(data, default_split)
    table = load_dataset(
        data,
        split=chosen,
        seed=seed,
        columns=parse_columns(columns),
        concept_id=concept_id,
        drop_bad=drop_bad,
        limit=limit,
    )
    if chosen is None:
        say(f"{table.name}: declares no split {default_split!r}, so the whole file is used", "dim")
    for note in table.notes:
        say(f"{table.name}: {note}", "dim")
    return table


def open_model(name: str, dtype: str | None, device: str | None) -> tuple[Any, Any]:
    """``(model, tokenizer)`` of ``--model``.

    Args:
        name: ``--model``.
        dtype: ``--dtype``.
        device: ``--device``.
    """
    from transformers.utils import logging as transformers_logging

    from ..model.load import load_model

    transformers_logging.disable_progress_bar()
    with console.status(Text(f"loading {name}")):
        return load_model(name, dtype=dtype, device=device)


def short_label(curve: SweepCurve) -> str:
    """A curve's name in a table: form x objective, data, model, and the placement where it is not the usual one.

    Args:
        curve: the sweep's curves.
    """
    key = curve.key
    method = " x ".join(part for part in (key.form, key.objective) if part)
    data = " ".join(part for part in (key.dataset.removeprefix("testbed:"), key.split) if part)
    where = f"at {key.site}" if key.site else ""
    place = "(site)" if key.placement == "site" else ""
    return ", ".join(p for p in (method, data, key.model, f"{where} {place}".strip()) if p) or curve.name
