"""The sweep table (one row for each pair and m): its columns, and how it is read, checked and written.

One row per pair and m. Losses are summed nats whatever the odds are computed from; ``pref`` and ``util`` are the
log-odds of Eq. 7 and 8; ``util`` is NaN where ``status`` is not ``ok``. Only ``m1, pref, util`` are needed to read one.
A last column ``r`` says the strength in natural units, where it was measured what m = 1 is worth; it is NaN where m1 is
not m2; a column ``trained_on`` is 1 for pairs that the intervention was trained on, where a sweep holds any.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from .files.frames import read_frame
from .files.reading import cut, shown
from .files.tables import write_parquet
from .log_odds import NON_FINITE, OK, preference
from .storage import write_whole
from .types import ConfigError, DataError

logger = logging.getLogger(__name__)
_SAID: set[tuple[str, str]] = set()
"""Tables and their m of which it was said that they are left out."""

COLUMNS = (
    "model", "dataset", "split", "concept", "pair", "form", "objective", "site", "placement", "seed",
    "m1", "m2", "L_p", "L_n", "T_p", "T_n", "pref", "util", "status",
)  # fmt: skip
TEXT_COLUMNS = ("model", "dataset", "split", "concept", "form", "objective", "site", "placement", "status")

REQUIRED = ("m1", "pref", "util")
KEY_COLUMNS = ("model", "dataset", "split", "form", "objective", "site", "placement", "seed")
NUMBERS = ("m1", "m2", "L_p", "L_n", "T_p", "T_n", "pref", "util", "r", "trained_on")


def read_sweep(path: str | Path) -> pd.DataFrame:
    """Read and check a sweep table (.parquet, .csv or .json records).

    Args:
        path: the file; its suffix names the format.

    Raises:
        DataError: unknown suffix, unreadable file, missing column, or a value that cannot be used (with its row).
    """
    return check_sweep(read_frame(Path(path), NUMBERS), str(path))


def read_columns(path: str | Path, columns: Sequence[str], undefined: Sequence[str] = ()) -> pd.DataFrame:
    """Read a table that accompanies a sweep; each of ``columns`` must be present and hold finite numbers.

    Args:
        path: .parquet, .csv or .json records.
        columns: names; others are kept as they stand.
        undefined: those of them that may be empty.

    Raises:
        DataError: unknown suffix, unreadable file, no rows, missing column, or a value that is no finite number.
    """
    table = read_frame(Path(path), NUMBERS).reset_index(drop=True)
    for column in columns:
        if column not in table.columns:
            raise DataError(f"{path}: column {column!r} is missing; needed are {', '.join(columns)}.")
        numbers = np.asarray(pd.to_numeric(table[column], errors="coerce"), dtype=np.float64)
        bad = ~np.isfinite(numbers)
        if column in undefined:
            bad &= (table[column].notna() & (table[column].astype("string") != "")).to_numpy(dtype=bool)
        if bad.any():
            row = int(bad.argmax())
            raise DataError(
                f"{path}: row {row + 1}: {column} is {shown(table[column].iloc[row])}; it must be a finite number."
            )
        table[column] = numbers
    if table.empty:
        raise DataError(f"{path}: the table has no rows.")
    return table


def check_sweep(table: pd.DataFrame, source: str = "sweep") -> pd.DataFrame:
    """Check a sweep table and return it with float ``m1, pref, util`` and a fresh row index.

    Args:
        table: at least ``m1, pref, util``.
        source: what the table is called in error messages, e.g. its file.

    Raises:
        DataError: a required column is missing, m1 or pref is not a finite number (where ``status`` does not say that
            the losses are not), or the table is empty.
    """
    missing = [c for c in REQUIRED if c not in table.columns]
    if missing:
        raise DataError(f"{source}: column {missing[0]!r} is missing; a sweep needs {', '.join(REQUIRED)}.")
    if table.empty:
        raise DataError(f"{source}: the table has no rows.")
    table = table.reset_index(drop=True).copy()
    for column in REQUIRED:
        numbers = pd.to_numeric(table[column], errors="coerce").astype("float64")
        lost = numbers.isna() & table[column].notna()
        bad = lost if column == "util" else lost | ~np.isfinite(numbers)
        if column == "pref":
            bad &= ~_overflowed(table)
        if bad.any():
            row = int(bad.to_numpy().argmax())
            value = table[column].iloc[row]
            found = shown(value) if isinstance(value, str) else cut(str(value), 80)
            raise DataError(
                f"{source}: row {row + 1}: {column} is {found}; it must be a finite number"
                f"{' or empty (undefined)' if column == 'util' else ''}."
            )
        table[column] = numbers
    return table


def _overflowed(table: pd.DataFrame) -> pd.Series:
    if "status" not in table.columns:
        return pd.Series(False, index=table.index)
    return table["status"].astype("string").fillna(OK) == NON_FINITE


def finite_points(table: pd.DataFrame, source: str = "sweep") -> pd.DataFrame:
    """A sweep without the m at which losses are not finite, of any pair of a curve; which these are is logged.

    There the steered values are more than the model's dtype holds, so that nothing about preference is known.

    Args:
        table: a sweep; one without ``status`` is given back.
        source: what the table is called in messages.

    Raises:
        DataError: no m is left.
    """
    overflowed = _overflowed(table)
    if not overflowed.any():
        return table
    keys = [name for name in (*KEY_COLUMNS, "m1", "m2") if name in table.columns]
    known = table[keys].astype("string").fillna("")
    bad = known.apply(tuple, axis=1).isin(set(known[overflowed].apply(tuple, axis=1)))
    dropped = ", ".join(f"{m:g}" for m in dict.fromkeys(table.loc[bad, "m1"].astype(float)))
    if bad.all():
        raise DataError(
            f"{source}: at every m (m1 = {dropped}) losses are not finite: sweep smaller |m|, or a wider dtype"
        )
    if (source, dropped) not in _SAID:
        _SAID.add((source, dropped))
        logger.warning("%s: left out m1 = %s, where losses are not finite (status %s)", source, dropped, NON_FINITE)
    return table[~bad].reset_index(drop=True)


def _records(table: pd.DataFrame) -> str:
    """JSON records with the shortest text of each float that reads back exactly (pandas rounds to 15 places)."""
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return json.dumps(rows, ensure_ascii=False, indent=0) + "\n"


SUFFIXES = (".parquet", ".csv", ".json")


def check_suffix(path: Path) -> None:
    """Raise ``ConfigError`` unless a sweep can be written under this name.

    Args:
        path: the file to be written.

    Raises:
        ConfigError: the suffix is none of the known ones.
    """
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"{path}: a sweep is written as {', '.join(SUFFIXES)}: choose one of these endings")


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a sweep atomically as ``.parquet``, ``.csv`` or ``.json`` (one list of records).

    Args:
        table: as ``sweep`` makes it.
        path: the file; its suffix names the format.

    Raises:
        ConfigError: another suffix.
    """
    check_suffix(path)
    writers: dict[str, Callable[[Path], Any]] = {
        ".parquet": lambda to: write_parquet(pa.Table.from_pandas(table, preserve_index=False), to),
        ".csv": lambda to: table.to_csv(to, index=False),
        ".json": lambda to: to.write_text(_records(table), "utf-8"),
    }
    write_whole(path, writers[path.suffix])


def completed(table: pd.DataFrame) -> pd.DataFrame:
    """Fill in the optional columns that a sweep table lacks.

    Args:
        table: needs ``m1, pref, util``.

    Raises:
        DataError: one of these is missing, there are no rows, or a pair stands twice at one m.
    """
    missing = [name for name in ("m1", "pref", "util") if name not in table]
    if missing or table.empty:
        raise DataError(f"the sweep has no {f'column {missing[0]!r}' if missing else 'rows'}: give a complete sweep")
    rows = table.copy()
    defaults: dict[str, Any] = {"concept": "", "pair": 0, "m2": table["m1"], "status": OK}
    for name in defaults.keys() - {*table.columns}:
        rows[name] = defaults[name]
    for name, text in {"concept": "", "status": OK}.items():
        rows[name] = rows[name].astype("string").fillna(text)
    twice = rows[rows.duplicated(["concept", "pair", "m1", "m2"])]
    if len(twice):
        pair, m1 = twice.iloc[0][["pair", "m1"]]
        raise DataError(f"pair {pair} appears more than once at m1 = {m1:g}: give the rows of one sweep")
    return rows


def with_own_losses(rows: pd.DataFrame) -> pd.DataFrame:
    """A sweep table with losses on the scale of its log-odds: summed over tokens, or the mean per token.

    Args:
        rows: a sweep with its losses.

    Raises:
        DataError: a column of losses is missing, or the log-odds are those of neither.
    """
    if not {"L_p", "L_n", "T_p", "T_n"} <= {*rows.columns}:
        raise DataError("the sweep lacks a column of L_p, L_n, T_p, T_n: odds_of_mean needs the losses")
    per_token = rows.assign(L_p=rows["L_p"] / rows["T_p"], L_n=rows["L_n"] / rows["T_n"])
    for choice in (rows, per_token):
        own = preference(choice["L_p"].to_numpy(), choice["L_n"].to_numpy())
        if np.allclose(own, rows["pref"], rtol=1e-9, atol=1e-9, equal_nan=True):
            return choice
    raise DataError("pref is neither L_n - L_p nor that per token: give the losses that pref came from")
