"""Reading a file of rows (jsonl, json, csv, tsv or parquet, also .gz) without guessing types.

    path -> Table(path, columns, rows, sha256)        rows: one mapping a row, values as they stand in the file

Values are not converted: in csv every cell is text ("NA" and "None" are words), in json a number stays one and is
refused later where text is wanted. What cannot be read is named by its line.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ..files.reading import cut, limit, listed, read_bounded, require_within, shown
from ..files.tables import csv_lines, decoded, json_value, read_parquet, require_size
from ..registry import nearest
from ..types import DataError

Rows: TypeAlias = Sequence[Mapping[str, Any]]
TUPLE = ("prompt", "positive", "negative", "concept")
"""What a row without names holds, in order."""


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


def ending_of(path: Path) -> str | None:
    """The ending that names a file's format, ``.gz`` left out; None for one that is not read.

    Args:
        path: the file.
    """
    name = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    ending = name.suffix.lower().removeprefix(".")
    return ending if ending in _READERS else None


def read_table(path: Path) -> Table:
    """Read one file of rows; its suffix names the format.

    Args:
        path: .jsonl, .json, .csv, .tsv or .parquet, also compressed (.gz).

    Raises:
        DataError: no such file, unknown ending, damaged or empty content (with the line).
    """
    ending = ending_of(path)
    if ending is None:
        found = path.suffix.lower().removeprefix(".")
        raise DataError(f"{path}: unknown ending {shown(found)}{nearest(found, tuple(_READERS))}")
    try:
        data = read_bounded(path, DataError)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    content = _unpacked(data, path) if path.suffix.lower() == ".gz" else data
    rows = _READERS[ending](content, path)
    if not rows:
        raise DataError(f"{path}: holds no rows")
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    require_size(len(rows), columns, path)
    return Table(path, columns, rows, hashlib.sha256(data).hexdigest())


def read_tables(name: Path, files: Sequence[Path]) -> Table:
    """Read the shards of one table, one after another.

    Args:
        name: what messages call the whole; the file itself where it is one.
        files: in order.

    Raises:
        DataError: as ``read_table``.
    """
    tables = [read_table(file) for file in files]
    if len(tables) == 1:
        return tables[0]
    columns = tuple(dict.fromkeys(column for table in tables for column in table.columns))
    total = hashlib.sha256("".join(table.sha256 for table in tables).encode()).hexdigest()
    return Table(name, columns, [row for table in tables for row in table.rows], total)


def _unpacked(data: bytes, path: Path) -> bytes:
    try:
        with gzip.open(io.BytesIO(data)) as file:
            content = file.read(limit("BYTES") + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: not readable as gzip ({cut(str(error), 120)})") from error
    require_within("BYTES", len(content), path, DataError)
    return content


def _jsonl(data: bytes, path: Path) -> Rows:
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(decoded(data, path).split("\n"), start=1):
        if line.strip():
            if line.strip() in ("{", "["):
                raise DataError(f"{path}: an object goes on over lines: write one a line, or save a list as .json")
            row = json_value(line, f"{path}, line {number}")
            if not isinstance(row, dict):
                raise DataError(
                    f"{path}, line {number}: holds a {type(row).__name__}, wanted an object with named fields"
                )
            rows.append(row)
    return rows


def _json(data: bytes, path: Path) -> Rows:
    text = decoded(data, path)
    try:
        rows = json_value(text, str(path))
    except DataError as error:
        first = text.lstrip().split("\n", 1)[0].rstrip()
        if first.startswith("{") and first.endswith("}") and first != text.strip():
            raise DataError(f"{path}: holds one object a line: name it .jsonl") from error
        raise
    if not isinstance(rows, list):
        keys = f" with the keys {listed([*rows], 6)}" if isinstance(rows, dict) else ""
        raise DataError(
            f"{path}: holds a {type(rows).__name__}{keys}, wanted a list of objects, one per pair: save that list alone"
        )
    return [_named(row, f"{path}, row {number}") for number, row in enumerate(rows)]


def _named(row: Any, where: str) -> Mapping[str, Any]:
    """A row as a mapping; of a list, three texts are prompt, positive and negative, a fourth is the concept."""
    if isinstance(row, list) and len(row) in (3, 4):
        return dict(zip(TUPLE, row, strict=False))
    if not isinstance(row, dict):
        held = f"a list of {len(row)}" if isinstance(row, list) else f"a {type(row).__name__}"
        raise DataError(
            f"{where}: holds {held}, wanted an object with named fields, or a list of prompt, positive and negative"
        )
    return row


def _csv(data: bytes, path: Path, separator: str = ",") -> Rows:
    lines = csv_lines(data, path, separator)
    first = next(lines, None)
    return [] if first is None else [dict(zip(first[1], cells, strict=True)) for _, cells in lines]


def _tsv(data: bytes, path: Path) -> Rows:
    return _csv(data, path, "\t")


def _parquet(data: bytes, path: Path) -> Rows:
    rows: Rows = read_parquet(data, path).to_pylist()
    return rows


_READERS: dict[str, Callable[[bytes, Path], Rows]] = {
    "jsonl": _jsonl,
    "json": _json,
    "csv": _csv,
    "tsv": _tsv,
    "parquet": _parquet,
}
