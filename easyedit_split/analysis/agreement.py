"""Agreement of two judges on the same texts: Spearman's rank correlation and Cohen's kappa, scale by scale.

    kappa = 1 - sum_ij w_ij O_ij / sum_ij w_ij E_ij       w_ij = (i - j)^2

O are the shares of texts with grades i and j, E what they would be if the judges were independent with the same
margins: quadratic weights, grades rounded to whole ones. 1 is agreement, 0 chance. Either is undefined (NaN) where one
judge gives all texts one grade. A text that one of them did not grade does not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from ..files.frames import read_frame
from ..types import DataError, FloatArray

KEYS = ("m1", "prompt", "concept", "text")
"""What makes two rows the same text."""
COLUMNS = ("scale", "n", "spearman", "kappa", "mean", "mean_other")
_NO_SCALES = ("pair", "prompt", "r", "m1", "m2", "seed")


def agreement(table: pd.DataFrame, other: pd.DataFrame, keys: Sequence[str] = KEYS) -> pd.DataFrame:
    """How far two judges agree on the texts that both graded.

    Args:
        table: one judge's, a row a text; ``keys`` and a column for each scale.
        other: the other judge's.
        keys: columns that make two rows the same text.

    Returns:
        ``COLUMNS``: a row for each scale that both have, ``n`` the texts that both graded.

    Raises:
        DataError: a key is missing, a table has a text twice with different grades, or they share no text or no scale.
    """
    for name in keys:
        if name not in table.columns or name not in other.columns:
            raise DataError(f"judged texts are matched by {', '.join(keys)}; one table has no column {name!r}")
    scales = [name for name in table.columns if name in other.columns and _is_scale(table, other, name, keys)]
    if not scales:
        raise DataError("the two tables have no scale in common: judge on the same scales")
    here, there = (_by_text(one[[*keys, *scales]], keys) for one in (table, other))
    both = here.merge(there, on=list(keys), suffixes=("", " of the other"))
    if both.empty:
        raise DataError("the two tables share no text: judge the same texts (--texts TABLE) by both")
    rows = [(name, *_measured(both[name], both[f"{name} of the other"])) for name in scales]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def read_grades(path: Path) -> pd.DataFrame:
    """Read judged texts; columns that hold numbers alone, or nothing, are numbers.

    Args:
        path: .parquet, .csv or .json records.

    Raises:
        DataError: the file cannot be read.
    """
    table = read_frame(path, ())
    for name in table.columns.difference(["text"]):
        if pd.api.types.is_numeric_dtype(table[name]):
            continue
        cells = table[name].replace("", None)
        numbers = pd.to_numeric(cells, errors="coerce")
        if numbers.notna().any() and bool((numbers.notna() | cells.isna()).all()):
            table[name] = numbers.astype("float64")
    return table


def _is_scale(table: pd.DataFrame, other: pd.DataFrame, name: str, keys: Sequence[str]) -> bool:
    numbers = pd.api.types.is_numeric_dtype
    plain = pd.api.types.is_bool_dtype(table[name]) or pd.api.types.is_bool_dtype(other[name])
    return name not in (*keys, *_NO_SCALES) and not plain and numbers(table[name]) and numbers(other[name])


def _by_text(table: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """One row a text."""
    once = table.drop_duplicates()
    twice = once.duplicated(list(keys))
    if twice.any():
        raise DataError(f"text {once.loc[twice, 'text'].iloc[0]!r:.60} is graded twice, differently, in one table")
    return once


def _measured(a: pd.Series, b: pd.Series) -> tuple[int, float, float, float, float]:
    known = a.notna() & b.notna()
    x, y = (one[known].to_numpy(dtype=np.float64) for one in (a, b))
    if len(x) == 0:
        return 0, np.nan, np.nan, np.nan, np.nan
    told = len(x) > 1 and np.ptp(x) > 0 and np.ptp(y) > 0
    rho = float(stats.spearmanr(x, y).statistic) if told else np.nan
    return len(x), rho, kappa(x, y), float(x.mean()), float(y.mean())


def kappa(x: FloatArray, y: FloatArray) -> float:
    """Cohen's kappa with quadratic weights of grades rounded to whole ones; NaN where one judge has one grade for all.

    Args:
        x: ``[n]`` grades of one judge.
        y: ``[n]`` grades of the other.
    """
    a, b = np.rint(x), np.rint(y)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    chance = ((a[:, None] - b[None, :]) ** 2).mean()
    return float(1 - ((a - b) ** 2).mean() / chance)
