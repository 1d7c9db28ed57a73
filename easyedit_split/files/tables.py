"""One strict reader for every table: jsonl, json, csv and parquet, with no value converted and nothing guessed.

    path -> Records(columns, rows, sha256)        rows: one mapping a row, values as they stand in the file

A row with another number of cells than the header, a column or key that stands twice, half a character, a damaged page
of a parquet file: each is an error with its line or row. Rows, columns and cells are limited (``files.reading``), and a
parquet file's are counted before anything is read.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from ..types import DataError
from .reading import cut, first_double, limit, parse_json, read_file, require_within, shown

Rows: TypeAlias = Sequence[Mapping[str, Any]]
_MAX_CELL = 10_000_000
_DIGEST = b"easyedit_split.sha256"


@dataclass(frozen=True, slots=True)
class Records:
    """The rows of one file.

    Attributes:
        columns: names in the order of their first appearance.
        rows: one mapping of column to value for each row.
        sha256: of the file's bytes.
    """

    columns: tuple[str, ...]
    rows: Rows
    sha256: str


def read_records(path: Path) -> Records:
    """Read a table, whose suffix names the format.

    Args:
        path: .jsonl, .json, .csv or .parquet, in any case.

    Raises:
        DataError: no such file, or damaged, ambiguous or too large content (with the line).
    """
    try:
        data = read_file(path, DataError)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    rows = READERS[path.suffix.lower().removeprefix(".")](data, path)
    require_within("ROWS", len(rows), path, DataError)
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    _require_columns(columns, path)
    require_within("CELLS", len(rows) * len(columns), path, DataError)
    return Records(columns, rows, hashlib.sha256(data).hexdigest())


def _require_columns(names: Sequence[Any], where: object) -> None:
    require_within("COLUMNS", len(names), where, DataError)


def read_parquet(data: bytes, path: Path) -> pa.Table:
    """A parquet file's table: its size is looked at first, the checksums of its pages are compared.

    Args:
        data: the file's bytes.
        path: the file, for messages.

    Raises:
        DataError: damaged or too large, a column twice, or one whose cells are lists or structures.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        found = file.metadata
        _require_columns(file.schema_arrow.names, path)
        require_within("ROWS", found.num_rows, path, DataError)
        require_within("CELLS", found.num_rows * found.num_columns, path, DataError)
        groups = sum(found.row_group(k).total_byte_size for k in range(found.num_row_groups))
        require_within("BYTES", groups, path, DataError)
        twice = first_double(file.schema_arrow.names)
        if twice is not None:
            raise DataError(f"{path}: column {shown(twice)} appears twice: rename one")
        table = file.read(use_threads=False)
        table.validate(full=True)
        known = (table.schema.metadata or {}).get(_DIGEST)
        if known is not None and known != table_digest(table):
            raise DataError(f"{path}: its digest does not match, so it was changed or damaged: make it anew")
        return table
    except (pa.ArrowException, OSError, ValueError, KeyError, OverflowError, MemoryError) as error:
        raise DataError(f"{path}: not readable as Parquet ({cut(' '.join(str(error).split()), 120)})") from error


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a parquet file with a checksum of every page and a digest of the whole content.

    Args:
        table: any table.
        path: the file.
    """
    known = {**(table.schema.metadata or {}), _DIGEST: table_digest(table)}
    pq.write_table(table.replace_schema_metadata(known), path, write_page_checksum=True)


def table_digest(table: pa.Table) -> bytes:
    """SHA-256 over the names, types and values of a table's columns, as hexadecimal digits.

    Args:
        table: any table.
    """
    total = hashlib.sha256(f"{table.num_rows}".encode())
    for field in table.schema:
        column = table.column(field.name).combine_chunks()
        total.update(f"\0{field.name}\0{field.type}\0".encode())
        if pa.types.is_integer(field.type) or pa.types.is_floating(field.type):
            total.update(column.is_null().to_numpy(zero_copy_only=False).tobytes())
            total.update(column.fill_null(0).to_numpy(zero_copy_only=False).tobytes())
        else:
            coded = column.dictionary_encode() if not pa.types.is_dictionary(field.type) else column
            total.update(repr(coded.dictionary.to_pylist()).encode("utf-8", "backslashreplace"))
            total.update(coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).tobytes())
    return total.hexdigest().encode()


def _text(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8: save the file as UTF-8"
        ) from error


def _parse(text: str, where: str) -> Any:
    try:
        return parse_json(text)
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else cut(str(error), 120)
        raise DataError(f"{where}: not valid JSON ({reason})") from error


def _row(value: Any, where: Callable[[], str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{where()}: holds a {type(value).__name__}, wanted an object with named fields")
    if len(value) > limit("COLUMNS"):
        _require_columns([*value], where())
    return value


def _jsonl(data: bytes, path: Path) -> Rows:
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(_text(data, path).split("\n"), start=1):
        if line.strip():
            where = f"{path}, line {number}"
            rows.append(_row(_parse(line, where), lambda: where))  # noqa: B023
    return rows


def _json(data: bytes, path: Path) -> Rows:
    rows = _parse(_text(data, path), str(path))
    if not isinstance(rows, list):
        raise DataError(f"{path}: holds a {type(rows).__name__}, wanted a list of objects, one per pair")
    return [_row(row, lambda: f"{path}, row {number}") for number, row in enumerate(rows)]  # noqa: B023


def csv_lines(data: bytes, path: Path) -> Iterator[tuple[int, list[str]]]:
    """The header and the rows of a CSV file, each with its line; every row has as many cells as the header.

    Args:
        data: the file's bytes.
        path: the file, for messages.

    Raises:
        DataError: damaged, a column twice or without a name, or a row of another length.
    """
    reader = csv.reader(io.StringIO(_text(data, path), newline=""), strict=True)
    previous = csv.field_size_limit(_MAX_CELL)
    header: list[str] | None = None
    try:
        for cells in reader:
            if not cells:
                continue
            if header is None:
                header = cells
                _require_header(header, path, reader.line_num)
            elif len(cells) != len(header):
                raise DataError(
                    f"{path}, line {reader.line_num}: {len(cells)} cells under {len(header)} columns: quote cells that "
                    "hold commas"
                )
            yield reader.line_num, cells
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not valid CSV ({cut(str(error), 120)})") from error
    finally:
        csv.field_size_limit(previous)


def _require_header(header: list[str], path: Path, line: int) -> None:
    _require_columns(header, f"{path}, line {line}")
    twice = first_double(header)
    if twice is not None:
        raise DataError(f"{path}, line {line}: column {shown(twice)} appears twice: rename one")


def _csv(data: bytes, path: Path) -> Rows:
    lines = csv_lines(data, path)
    first = next(lines, None)
    if first is None:
        return []
    return [dict(zip(first[1], cells, strict=True)) for _, cells in lines]


def _parquet(data: bytes, path: Path) -> Rows:
    rows: Rows = read_parquet(data, path).to_pylist()
    return rows


READERS: dict[str, Callable[[bytes, Path], Rows]] = {
    "jsonl": _jsonl,
    "json": _json,
    "csv": _csv,
    "parquet": _parquet,
}
"""By ending."""
