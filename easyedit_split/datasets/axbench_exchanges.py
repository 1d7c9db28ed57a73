"""AxBench's unpaired table as prompts with one answer each, to be paired with answers of a model's own.

Taken are the answers with a concept, of one concept or the first ten; what the model writes to the same prompts stands
beside them in the columns of the paired table, so that ``axbench:FILE`` makes the paper's splits.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..types import DataError
from .axbench import AxBench, concept_rows, is_unpaired
from .exchanges import text_of
from .files import Table
from .named import DATA_VARIABLE, need_columns
from .one_answer import Asked

UNPAIRED = ("axbench_concept10_train.parquet", "train_data.parquet")
"""Names of the file in its authors' repository, and here."""


def unpaired_file() -> Path:
    """The unpaired table in the data folder.

    Raises:
        DataError: it is not there; says where it is published.
    """
    folder = Path(os.environ.get(DATA_VARIABLE, "data"))
    for name in UNPAIRED:
        if (folder / name).is_file():
            return folder / name
    raise DataError(
        f"axbench: no {' or '.join(UNPAIRED)} in {folder}: get it from {AxBench.origin}, then name it (--from "
        f"axbench:PATH) or set {DATA_VARIABLE} to its folder"
    )


def with_concept(table: Table, concept_id: int | None) -> tuple[tuple[Asked, ...], tuple[str, ...]]:
    """The rows whose answers carry a concept, by concept, and notes on the others.

    Args:
        table: the unpaired table.
        concept_id: number of one concept; the first ten where None.

    Raises:
        DataError: another table, no such concept, or a row without an input, an output or a concept.
    """
    if not is_unpaired(table.columns):
        raise DataError(f"{table.path}: not AxBench's unpaired table (input, output, category, concept_id)")
    need_columns(table, ("output_concept", "concept_id"), AxBench.name)
    groups, notes = concept_rows(table, concept_id)
    return tuple(_asked(table, number) for rows in groups.values() for number in rows), notes


def _asked(table: Table, number: int) -> Asked:
    row = table.rows[number]
    try:
        prompt, answer, concept = (text_of(row, name) for name in ("input", "output", "output_concept"))
    except DataError as error:
        raise DataError(f"{table.path}, row {number}: {error}: mend it, or leave it out of the file") from error
    return Asked(prompt, answer, number, concept)


def paired_row(row: Mapping[str, Any], positive: str, negative: str) -> dict[str, Any]:
    """A row of the paired table.

    Args:
        row: of the unpaired one.
        positive: the answer with the concept.
        negative: the answer without it.
    """
    columns = AxBench.columns
    return {
        columns.prompt: str(row["input"]),
        columns.positive: positive,
        columns.negative: negative,
        columns.concept: str(row["output_concept"]),
        "concept_id": int(float(row["concept_id"])),
    }
