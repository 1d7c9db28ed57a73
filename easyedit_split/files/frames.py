"""Tables of numbers as data frames: parquet, csv and JSON records, read strictly (``files.tables``)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Real
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from ..types import DataError, FloatArray
from .reading import cut, read_bounded, shown
from .tables import csv_lines, decoded, json_value, read_parquet, require_size


def _read_csv(data: bytes, path: Path, numbers: Sequence[str]) -> pd.DataFrame:
    """Read a CSV file with exact floats and with texts unchanged: a concept may be called NA."""
    lines = csv_lines(data, path)
    first = next(lines, None)
    if first is None:
        return pd.DataFrame()
    numbered = [*lines]
    table = pd.DataFrame([cells for _, cells in numbered], columns=first[1], dtype=object)
    for name in table.columns.intersection(list(numbers)):
        table[name] = _numbers(path, str(name), numbered, first[1].index(str(name)))
    return table


def _numbers(path: Path, name: str, lines: list[tuple[int, list[str]]], at: int) -> FloatArray:
    values = np.empty(len(lines))
    for k, (line, cells) in enumerate(lines):
        try:
            values[k] = float(cells[at]) if cells[at] else math.nan
        except ValueError:
            found = shown(cells[at])
            raise DataError(f"{path}, line {line}: {name} is {found}; it must be a number or empty.") from None
    return values


def _read_json(data: bytes, path: Path, numbers: Sequence[str]) -> pd.DataFrame:
    rows = json_value(decoded(data, path), str(path))
    if not isinstance(rows, list):
        raise DataError(f"{path}: holds a {type(rows).__name__}, wanted a list of rows.")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise DataError(f"{path}: row {number} is a {type(row).__name__}, wanted names and values.")
        require_size(len(rows), [*row], path)
        for name, value in row.items():
            if isinstance(value, dict | list):
                raise DataError(f"{path}: row {number}: {shown(name)} is a {type(value).__name__}; wanted one value.")
            if isinstance(value, int) and value.bit_length() > 63:
                raise DataError(f"{path}: row {number}: {shown(name)} is {shown(value)}; that is too large.")
    return pd.DataFrame(rows)


def _read_parquet(data: bytes, path: Path, numbers: Sequence[str]) -> pd.DataFrame:
    table = read_parquet(data, path)
    for field in table.schema:
        if pa.types.is_nested(field.type):
            kind = cut(str(field.type), 60)
            raise DataError(f"{path}: column {shown(field.name)} is of type {kind}; wanted one value a cell.")
    columns = {field.name: table.column(field.name) for field in table.schema}
    plain = {name: c.cast(c.type.value_type) if pa.types.is_dictionary(c.type) else c for name, c in columns.items()}
    found: pd.DataFrame = pa.table(plain).to_pandas(ignore_metadata=True)
    return found


_READERS: dict[str, Callable[[bytes, Path, Sequence[str]], pd.DataFrame]] = {
    ".parquet": _read_parquet,
    ".csv": _read_csv,
    ".json": _read_json,
}


def read_frame(path: Path, numbers: Sequence[str]) -> pd.DataFrame:
    """Read a table in the format that its suffix names, without checks of its columns.

    Args:
        path: .parquet, .csv or .json records.
        numbers: columns of a csv file that hold numbers, with nothing for NaN; the others are texts.

    Raises:
        DataError: unknown suffix, no such file, or one that is damaged, ambiguous or too large.
    """
    if path.suffix not in _READERS:
        raise DataError(f"{path}: cannot read {path.suffix or 'a file without suffix'}; use {', '.join(_READERS)}.")
    try:
        data = read_bounded(path, DataError)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file.") from None
    try:
        table = _READERS[path.suffix](data, path, numbers)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{path}: not a readable {path.suffix[1:]} table ({cut(str(error), 120)}).") from error
    require_size(len(table), [*table.columns], path)
    return table


def require_columns(table: pd.DataFrame, path: Path, names: Sequence[str] = (), numbers: Sequence[str] = ()) -> None:
    """Raise unless a table has columns, and numbers or nothing in those that hold numbers.

    Args:
        table: as ``read_frame`` reads it.
        path: its file, for messages.
        names: columns of anything.
        numbers: columns of numbers.

    Raises:
        DataError: a column is missing, or holds something else.
    """
    for name in (*names, *numbers):
        if name not in table.columns:
            raise DataError(f"{path}: column {name!r} is missing: make the file anew")
    for name in numbers:
        other = [value for value in table[name] if not (value is None or isinstance(value, Real))]
        if other:
            raise DataError(f"{path}: column {name!r} holds {shown(other[0])}, wanted numbers: make the file anew")
