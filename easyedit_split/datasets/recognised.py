"""Which columns of a file make a pair, and for a file without pairs what it holds instead.

Names are compared without regard to capitals and outer spaces; the first layout below whose columns are there is taken.
"""

from __future__ import annotations

from dataclasses import replace

from ..files.reading import listed
from ..types import DataError
from .axbench import AxBench, refuse_unpaired
from .base import Columns
from .files import Table
from .one_answer import refusal
from .powerseeking import PowerSeeking
from .psychopathy import Psychopathy

_ANSWERS = (("positive", "negative"), ("chosen", "rejected"))
_PROMPTS = ("prompt", "messages", "conversations", "question", "instruction")
LAYOUTS = (
    *(Columns(prompt, *answers) for answers in _ANSWERS for prompt in _PROMPTS),
    PowerSeeking.columns,
    Psychopathy.columns,
    AxBench.columns,
    Columns("", "chosen", "rejected"),
)
"""Columns of a pair, see ``docs/data-files.md``; an empty prompt's name where the answers hold it."""


_WANTED = "prompt, positive, negative or prompt, chosen, rejected"


def recognise(table: Table) -> Columns:
    """Recognise the column layout of a table, among those that are known.

    Args:
        table: rows under named columns.

    Raises:
        DataError: none of them; says what the file holds and what to write.
    """
    refuse_unpaired(table)
    written: dict[str, str] = {}
    for name in table.columns:
        plain = str(name).strip().casefold()
        if plain in written and name != plain:
            continue
        written[plain] = str(name)
    for columns in LAYOUTS:
        if {name for name in columns.fields() if name} <= set(written):
            return as_written(columns, written)
    shown = listed(table.columns)
    wanted = _instead(set(written))
    one = refusal(written) if wanted == _WANTED else None
    if one is not None:
        raise DataError(f"{table.path}: its columns are {shown}: {one}")
    raise DataError(
        f"{table.path}: its columns are {shown}; wanted {wanted}, or name yours "
        "(--columns prompt=A,positive=B,negative=C)"
    )


def as_written(columns: Columns, written: dict[str, str]) -> Columns:
    """The layout with its columns' names as the file has them.

    Args:
        columns: a layout.
        written: the file's names by their plain form.
    """
    names = ("prompt", "positive", "negative", "concept", "system", "tools")
    return replace(columns, **{field: written.get(getattr(columns, field), getattr(columns, field)) for field in names})


def _instead(names: set[str]) -> str:
    """What is wanted, after what a file without pairs holds."""
    if {"positive", "negative"} <= names:
        return "a column 'prompt' besides the two answers"
    if len(names) == 1 and any(sign in next(iter(names)) for sign in ";\t|"):
        return f"cells that are separated by commas (or by tabs, in a .tsv): {_WANTED}"
    return _WANTED
