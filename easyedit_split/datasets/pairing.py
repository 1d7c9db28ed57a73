"""Conversion of a file's rows to answer pairs: a bad row is an error that names its field, or is dropped on request.

row -> Pair(prompt, positive, negative, concept)        see ``exchanges``
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from ..types import BadRowError, DataError, Pair
from .base import Columns, Numbered
from .exchanges import exchange_of, text_of
from .files import Table

logger = logging.getLogger(__name__)
_NAMED_AT_MOST = 10


def read_pairs(
    table: Table, columns: Columns, *, drop_bad: bool, only: Iterable[int] | None = None
) -> tuple[list[Numbered], tuple[str, ...]]:
    """Read the pairs of ``table`` (of rows ``only``), and a sentence for each dropped row; one warning counts them.

    Args:
        table: the file's rows.
        columns: which columns make a pair.
        drop_bad: leave bad rows out and name them, instead of raising.
        only: row numbers to read; all where None.

    Raises:
        DataError: a missing, empty or non-text field, equal answers; all bad rows are named. Or no row is left.
    """
    good: list[Numbered] = []
    bad: list[str] = []
    for row in range(len(table.rows)) if only is None else only:
        try:
            good.append(Numbered(row, _pair(table.rows[row], columns)))
        except DataError as error:
            bad.append(f"row {row}: {error}")
    more = f" and {len(bad) - _NAMED_AT_MOST} more" if len(bad) > _NAMED_AT_MOST else ""
    named = "; ".join(bad[:_NAMED_AT_MOST]) + more
    if bad and not drop_bad:
        raise BadRowError(f"{table.path}, {named}")
    if not good:
        raise DataError(f"{table.path}: none of {len(bad)} rows can be used; first, {bad[0] if bad else 'none at all'}")
    if bad:
        logger.warning("%s: dropped %d of %d rows: %s", table.path, len(bad), len(good) + len(bad), named)
    return good, tuple(f"{table.path}, {sentence}" for sentence in bad)


def _pair(row: Mapping[str, Any], columns: Columns) -> Pair:
    prompt, positive, negative = exchange_of(row, columns)
    if positive == negative:
        raise DataError(f"fields {columns.positive!r} and {columns.negative!r} hold the same answer")
    concept = text_of(row, columns.concept) if columns.concept in row else None
    return Pair(prompt, positive, negative, concept)


__all__ = ["read_pairs", "text_of"]
