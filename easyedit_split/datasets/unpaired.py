"""AxBench's unpaired table, for DiffMean, the one objective that needs no pairs.

    positives: inputs answered with the concept        negatives: other inputs of the same genre, answered without it

There is no query with two answers here, so preference, utility and every trained objective have no meaning on it; the
result is a type of its own that nothing else takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..types import BadRowError, DataError
from .axbench import AxBench, concept_rows, is_unpaired
from .files import Table, read_table
from .named import need_columns
from .pairing import text_of


@dataclass(frozen=True, slots=True)
class Exchange:
    """One query with one answer, and the number of its row in the file.

    Attributes:
        prompt: the query.
        answer: the answer to it.
        row: its row number in the file.
    """

    prompt: str
    answer: str
    row: int


@dataclass(frozen=True, slots=True)
class UnpairedTable:
    """Answers with a concept and answers without it, to different queries.

    Attributes:
        concept: the concept's name.
        positives: exchanges whose answer carries the concept.
        negatives: exchanges whose answer carries none.
        source: name of the file.
        sha256: of the file's bytes.
        notes: one sentence for each thing that was done to the rows.
    """

    concept: str
    positives: tuple[Exchange, ...]
    negatives: tuple[Exchange, ...]
    source: str
    sha256: str
    notes: tuple[str, ...] = ()


def load_unpaired(path: Path, *, concept_id: int, drop_bad: bool = False) -> UnpairedTable:
    """All answers with one concept, and all answers without any that share its genre.

    Args:
        path: the file.
        concept_id: number of the concept.
        drop_bad: leave bad rows out and name them, instead of raising.

    Raises:
        DataError: not an unpaired AxBench table, no such concept, a bad row.
    """
    table = read_table(path)
    if not is_unpaired(table.columns):
        raise DataError(f"{path}: not AxBench's unpaired table (input, output, category, concept_id)")
    need_columns(table, ("output_concept", "concept_genre", "concept_id"), AxBench.name)
    groups, _ = concept_rows(table, concept_id)
    rows = groups[concept_id]
    genre = table.rows[rows[0]]["concept_genre"]
    without = [
        number
        for number, row in enumerate(table.rows)
        if row["category"] == "negative" and row["concept_genre"] == genre
    ]
    if not without:
        raise DataError(f"{path}: no row of category 'negative' has genre {genre!r}")
    positives, dropped = _exchanges(table, rows, drop_bad)
    negatives, dropped_too = _exchanges(table, without, drop_bad)
    note = f"{path}: unpaired: {len(positives)} answers with the concept, {len(negatives)} of genre {genre!r} without"
    concept = text_of(table.rows[rows[0]], "output_concept")
    return UnpairedTable(concept, positives, negatives, str(path), table.sha256, (note, *dropped, *dropped_too))


def _exchanges(table: Table, rows: list[int], drop_bad: bool) -> tuple[tuple[Exchange, ...], tuple[str, ...]]:
    good: list[Exchange] = []
    notes: list[str] = []
    for number in rows:
        try:
            good.append(_exchange(table.rows[number], number))
        except DataError as error:
            sentence = f"{table.path}, row {number}: {error}"
            if not drop_bad:
                raise BadRowError(sentence) from error
            notes.append(f"dropped {sentence}")
    if not good:
        raise DataError(f"{table.path}: none of {len(rows)} rows can be used")
    return tuple(good), tuple(notes)


def _exchange(row: Mapping[str, Any], number: int) -> Exchange:
    return Exchange(text_of(row, "input"), text_of(row, "output"), number)
