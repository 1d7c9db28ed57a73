"""Reading a file of rows (jsonl, json, csv or parquet) without guessing types.

    path -> Table(path, columns, rows, sha256)        rows: one mapping a row, values as they stand in the file

Values are not converted: in csv every cell is text ("NA" and "None" are words), in json a number stays one and is
refused later where text is wanted. What cannot be read is named by its line.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from ..registry import nearest
from ..types import DataError

Rows: TypeAlias = Sequence[Mapping[str, Any]]
_MAX_CELL = 10_000_000


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
    if ending not in _READERS:
        raise DataError(f"{path}: unknown ending {ending!r}{nearest(ending, tuple(_READERS))}")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    rows = _READERS[ending](data, path)
    if not rows:
        raise DataError(f"{path}: holds no rows")
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    return Table(path, columns, rows, hashlib.sha256(data).hexdigest())


def _text(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8: save the file as UTF-8"
        ) from error


def _object(items: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(items)
    if len(found) < len(items):
        names = [name for name, _ in items]
        raise ValueError(f"key {next(n for n in names if names.count(n) > 1)!r} appears twice")
    return found


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not valid JSON ({error})") from error


def _jsonl(data: bytes, path: Path) -> Rows:
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(_text(data, path).split("\n"), start=1):
        if line.strip():
            row = _parse(line, f"{path}, line {number}")
            if not isinstance(row, dict):
                raise DataError(
                    f"{path}, line {number}: holds a {type(row).__name__}, wanted an object with named fields"
                )
            rows.append(row)
    return rows


def _json(data: bytes, path: Path) -> Rows:
    rows = _parse(_text(data, path), str(path))
    if not isinstance(rows, list):
        raise DataError(f"{path}: holds a {type(rows).__name__}, wanted a list of objects, one per pair")
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise DataError(f"{path}, row {number}: holds a {type(row).__name__}, wanted an object with named fields")
    return rows


def _csv(data: bytes, path: Path) -> Rows:
    reader = csv.reader(io.StringIO(_text(data, path), newline=""), strict=True)
    previous = csv.field_size_limit(_MAX_CELL)
    try:
        lines = [(reader.line_num, cells) for cells in reader if cells]
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not valid CSV ({error})") from error
    finally:
        csv.field_size_limit(previous)
    if not lines:
        return []
    header = lines[0][1]
    twice = [name for name in header if header.count(name) > 1]
    if twice:
        raise DataError(f"{path}, line 1: column {twice[0]!r} appears twice: rename one")
    for line, cells in lines[1:]:
        if len(cells) != len(header):
            raise DataError(
                f"{path}, line {line}: {len(cells)} cells under {len(header)} columns: quote cells that hold commas"
            )
    return [dict(zip(header, cells, strict=True)) for _, cells in lines[1:]]


def _parquet(data: bytes, path: Path) -> Rows:
    try:
        rows: Rows = pq.read_table(pa.BufferReader(data)).to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path}: not readable as Parquet ({' '.join(str(error).split())})") from error
    return rows


_READERS: dict[str, Callable[[bytes, Path], Rows]] = {
    "jsonl": _jsonl,
    "json": _json,
    "csv": _csv,
    "parquet": _parquet,
}
