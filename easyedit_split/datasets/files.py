"""Reading a file of rows (jsonl, json, csv or parquet) without guessing types.

    path -> Table(path, columns, rows, sha256)        rows: one mapping a row, values as they stand in the file

Values are not converted: in csv every cell is text ("NA" and "None" are words), in json a number stays one and is
refused later where text is wanted. What cannot be read is named by its line.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..files.reading import shown
from ..files.tables import READERS, Rows, read_records
from ..registry import nearest
from ..types import DataError


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of one file, with its column names and hash.

    Attributes:
        path: the file.
        columns: names in the order of their first appearance.
        rows: one mapping of column to value for each row.
        sha256: of the file's bytes.
    """

    path: Path
    columns: tuple[str, ...]
    rows: Rows
    sha256: str


def read_table(path: Path) -> Table:
    """Read one file of rows; its suffix names the format.

    Args:
        path: .jsonl, .json, .csv or .parquet.

    Raises:
        DataError: no such file, unknown ending, damaged or empty content (with the line).
    """
    ending = path.suffix.lower().removeprefix(".")
    if ending not in READERS:
        raise DataError(f"{path}: unknown ending {shown(ending)}{nearest(ending, tuple(READERS))}")
    found = read_records(path)
    if not found.rows:
        raise DataError(f"{path}: holds no rows")
    return Table(path, found.columns, found.rows, found.sha256)
