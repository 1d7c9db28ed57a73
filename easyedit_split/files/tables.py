"""What every table is read with, strictly: UTF-8, JSON, csv lines and parquet, no value converted, nothing guessed.

A row with another number of cells than the header, a column or key that stands twice, half a character, a damaged page
of a parquet file: each is an error with its line or row. Rows, columns and cells are limited (``files.reading``), and a
parquet file's are counted before anything is read.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..types import DataError
from .reading import cut, first_double, parse_json, require_within, shown

_MAX_CELL = 10_000_000
_DIGEST = b"easyedit_split.sha256"


def require_size(rows: int, columns: Sequence[Any], source: object) -> None:
    """Raise where a table is larger than the limits.

    Args:
        rows: how many.
        columns: their names.
        source: the file, for the message.

    Raises:
        DataError: too many rows, columns or cells.
    """
    require_within("ROWS", rows, source, DataError)
    require_within("COLUMNS", len(columns), source, DataError)
    require_within("CELLS", rows * len(columns), source, DataError)


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
        require_size(found.num_rows, file.schema_arrow.names, path)
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


def decoded(data: bytes, path: Path) -> str:
    """A file's text.

    Args:
        data: the file's bytes.
        path: the file, for messages.

    Raises:
        DataError: it is not UTF-8 (with the line).
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8: save the file as UTF-8"
        ) from error


def json_value(text: str, where: str) -> Any:
    """A JSON value, read strictly (``files.reading.parse_json``).

    Args:
        text: the JSON.
        where: file and line, for messages.

    Raises:
        DataError: not such JSON.
    """
    try:
        return parse_json(text)
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else cut(str(error), 120)
        raise DataError(f"{where}: not valid JSON ({reason})") from error


def csv_lines(data: bytes, path: Path, separator: str = ",") -> Iterator[tuple[int, list[str]]]:
    """The header and the rows of a CSV file, each with its line; every row has as many cells as the header.

    Args:
        data: the file's bytes.
        path: the file, for messages.
        separator: between cells.

    Raises:
        DataError: damaged, a column twice or without a name, or a row of another length.
    """
    reader = csv.reader(io.StringIO(decoded(data, path), newline=""), strict=True, delimiter=separator)
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
                other = len(header) == 1 and next((sign for sign in ";\t|" if sign in header[0]), None)
                if other:
                    raise DataError(
                        f"{path}: its cells are separated by {other!r}, not by {separator!r}: save it with commas"
                    )
                raise DataError(
                    f"{path}, line {reader.line_num}: {len(cells)} cells under {len(header)} columns: quote cells that "
                    "hold commas"
                )
            yield reader.line_num, cells
        if header is None:
            raise DataError(f"{path}: holds no rows: the file is empty")
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not valid CSV ({cut(str(error), 120)})") from error
    finally:
        csv.field_size_limit(previous)


def _require_header(header: list[str], path: Path, line: int) -> None:
    require_within("COLUMNS", len(header), f"{path}, line {line}", DataError)
    twice = first_double(header)
    if twice is not None:
        raise DataError(f"{path}, line {line}: column {shown(twice)} appears twice: rename one")
