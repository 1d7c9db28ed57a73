"""Answer pairs given in memory: lists of dicts or tuples, a DataFrame, a ``datasets.Dataset``.

    value -> PairTable(pairs, rows, source, sha256 over the pairs' texts)        rows are counted from 0

Columns are recognised by the names that files of pairs use (see ``local``), or named. A prompt may be a list of
messages and an answer one of them, in a mapping, a tuple or a ``Pair``; anything else that is not text is an error that
names row and field.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from ..config import build
from ..types import DataError, Pair
from .base import Columns, PairTable, Split, pairs_hash
from .files import TUPLE, Table
from .load import default_split_of, load_dataset
from .pairing import read_pairs
from .recognised import recognise

PairsLike: TypeAlias = PairTable | Sequence[Pair] | Iterable[Any] | str | Path
"""A ``PairTable``, a dataset's name or file, or a list (of pairs, mappings or tuples), DataFrame or Dataset."""


def as_pairs(
    value: PairsLike,
    *,
    split: Split = "train",
    name: str = "pairs",
    columns: Mapping[str, str] | None = None,
    drop_bad: bool = False,
) -> PairTable:
    """Convert any collection of answer pairs to one table of pairs that records where each came from.

    Args:
        value: see ``PairsLike``. A table that is one already is given back as it is.
        split: taken of a named dataset, and of a file that declares it.
        name: what records call pairs that no file holds.
        columns: names of the prompt, positive and negative (and concept) columns, where they are not recognised.
        drop_bad: leave out bad rows and name them, instead of raising.

    Returns:
        The pairs. ``sha256`` is over their texts where no file holds them.

    Raises:
        DataError: not a table of pairs, or a bad row (row and field named).
        ConfigError: an unknown key of ``columns``.
    """
    if isinstance(value, PairTable):
        return value
    if isinstance(value, str | Path):
        text = str(value)
        chosen = default_split_of(text, split)
        return load_dataset(text, split=chosen, columns=columns, drop_bad=drop_bad)
    rows = _rows(value)
    if not rows:
        raise DataError(f"{name}: holds no rows: give at least one pair")
    given = [row for row in rows if isinstance(row, Pair)]
    if len(given) == len(rows):
        if all(isinstance(text, str) for pair in given for text in _texts(pair)):
            return PairTable(name, tuple(given), tuple(range(len(given))), name, pairs_hash(given))
        rows, columns = [_row(pair) for pair in given], None
    table = _table(rows, name)
    named = recognise(table) if columns is None else build(Columns, columns, "columns")
    items, dropped = read_pairs(table, named, drop_bad=drop_bad)
    pairs = tuple(item.pair for item in items)
    return PairTable(name, pairs, tuple(item.row for item in items), name, pairs_hash(pairs), dropped=dropped)


def _rows(value: Any) -> list[Any]:
    """The rows of an iterable; a DataFrame's are its records."""
    if isinstance(value, Mapping):
        raise DataError("the pairs are a mapping, wanted a list of rows: give a list of {prompt, positive, negative}")
    records = getattr(value, "to_dict", None)
    if hasattr(value, "columns") and callable(records):
        found: list[Any] = records("records")
        return found
    if not isinstance(value, Iterable):
        raise DataError(
            f"the pairs are a {type(value).__name__}, wanted a list of rows, a DataFrame, a Dataset or a file"
        )
    return list(value)


def _texts(pair: Pair) -> tuple[Any, Any, Any]:
    return pair.prompt, pair.positive, pair.negative


def _row(pair: Pair) -> dict[str, Any]:
    """A pair with messages where it has texts otherwise, as the row of a table that holds them."""
    concept = {} if pair.concept is None else {"concept": pair.concept}
    return {**dict(zip(TUPLE, _texts(pair), strict=False)), **concept}


def _table(rows: Sequence[Any], name: str) -> Table:
    """Rows in the form that the readers of files return: one mapping each."""
    found: list[Mapping[str, Any]] = []
    for number, row in enumerate(rows):
        if isinstance(row, Mapping):
            found.append(row)
        elif isinstance(row, tuple | list) and len(row) in (3, 4):
            found.append(dict(zip(TUPLE, row, strict=False)))
        else:
            raise DataError(
                f"{name}, row {number}: is a {type(row).__name__}, wanted a mapping with prompt, "
                "positive and negative, or a tuple of these three (and a concept)"
            )
    columns = tuple(dict.fromkeys(column for row in found for column in row))
    return Table(Path(name), columns, found, "")
