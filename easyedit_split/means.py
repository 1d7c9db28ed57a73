"""The mean curve of a sweep: preference and utility over m.

    pairs           mean over concepts of (mean over a concept's pairs of odds(L_p, L_n))
    odds_of_mean    mean over concepts of odds(mean over its pairs of L_p, mean over its pairs of L_n)

with the odds of Eq. 7 and 8, in nats. A pair whose utility is undefined at any m is left out of utility at every m and
counted; preference keeps it. Under ``odds_of_mean`` all of a concept's pairs are, where its own utility is undefined.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from . import log_odds
from .registry import nearest
from .types import ConfigError, DataError, FloatArray

AGGREGATES = ("pairs", "odds_of_mean")


def check_aggregate(name: str) -> str:
    """The name of an aggregation, if it is one of ``AGGREGATES``.

    Args:
        name: what was asked for.

    Raises:
        ConfigError: it is not.
    """
    if name not in AGGREGATES:
        raise ConfigError(f"unknown aggregation {name!r}{nearest(name, AGGREGATES)}")
    return name


def mean_curve(table: pd.DataFrame, aggregate: str = "pairs") -> pd.DataFrame:
    """Means over pairs, then over concepts, of one sweep.

    Args:
        table: as ``sweep.sweep`` makes it. ``pairs`` needs ``m1, pref, util`` alone, ``odds_of_mean`` the losses too.
        aggregate: ``pairs`` or ``odds_of_mean``, see the top of the module.

    Returns:
        One row per m, in order: ``m1, m2, pref, util``, the number of ``pairs``, and how many of them are ``excluded``
        from utility (the same at every m). ``util`` is NaN where no pair is left.

    Raises:
        ConfigError: another aggregation.
        DataError: a column is missing, a pair stands twice at one m or is missing at another, or the table's log-odds
            are not those of its losses.
    """
    check_aggregate(aggregate)
    rows = _completed(table)
    pref, util = _wide(rows, "pref"), _wide(rows.assign(util=rows["util"].where(rows["status"] == log_odds.OK)), "util")
    if aggregate == "odds_of_mean":
        pref, util = _of_mean_losses(rows)
    sizes = rows.drop_duplicates(["concept", "pair"]).groupby("concept").size()
    kept = util[np.isfinite(util.to_numpy()).all(1)]
    left_out = util.index.difference(kept.index).get_level_values("concept")
    excluded = len(left_out) if aggregate == "pairs" else int(sizes[left_out].sum())
    curve = pd.DataFrame({"pref": _mean(pref), "util": _mean(kept)}, index=pref.columns).reset_index()
    return curve.assign(pairs=int(sizes.sum()), excluded=excluded)


def _completed(table: pd.DataFrame) -> pd.DataFrame:
    """The table with what it may lack filled in, each pair once at every m."""
    missing = [name for name in ("m1", "pref", "util") if name not in table]
    if missing or table.empty:
        raise DataError(f"the sweep has no {f'column {missing[0]!r}' if missing else 'rows'}: give a whole sweep")
    rows = table.copy()
    defaults: dict[str, Any] = {"concept": "", "pair": 0, "m2": table["m1"], "status": log_odds.OK}
    for name in defaults.keys() - {*table.columns}:
        rows[name] = defaults[name]
    for name, text in {"concept": "", "status": log_odds.OK}.items():
        rows[name] = rows[name].astype("string").fillna(text)
    twice = rows[rows.duplicated(["concept", "pair", "m1", "m2"])]
    if len(twice):
        pair, m1 = twice.iloc[0][["pair", "m1"]]
        raise DataError(f"pair {pair} stands more than once at m1 = {m1:g}: give the rows of one sweep")
    return rows


def _wide(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """One column of a sweep as ``[pairs n]``, a row per (concept, pair), a column per (m1, m2)."""
    wide = rows.set_index(["concept", "pair", "m1", "m2"])[name].unstack(["m1", "m2"]).sort_index(axis=1)
    if len(rows) < wide.size:
        raise DataError(
            f"the sweep has {len(rows)} rows for {wide.shape[0]} pairs at {wide.shape[1]} m: finish it, or give the "
            "rows of one sweep"
        )
    return wide


def _of_mean_losses(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """``(pref, util)`` of the mean losses, ``[concepts n]`` each."""
    L_p, L_n = (_wide(_own_losses(rows), name) for name in ("L_p", "L_n"))
    groups = L_p.groupby(level="concept").indices
    odds = [log_odds.odds_of_mean(L_p.to_numpy()[chosen], L_n.to_numpy()[chosen]) for chosen in groups.values()]
    index = pd.Index(list(groups), name="concept")
    pref, util = (pd.DataFrame(list(part), index, L_p.columns) for part in zip(*odds, strict=True))
    return pref, util


def _own_losses(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with the losses that their own log-odds come from: summed, or per token."""
    if not {"L_p", "L_n", "T_p", "T_n"} <= {*rows.columns}:
        raise DataError("the sweep lacks a column of L_p, L_n, T_p, T_n: odds_of_mean needs the losses")
    per_token = rows.assign(L_p=rows["L_p"] / rows["T_p"], L_n=rows["L_n"] / rows["T_n"])
    for choice in (rows, per_token):
        own = log_odds.preference(choice["L_p"].to_numpy(), choice["L_n"].to_numpy())
        if np.allclose(own, rows["pref"], rtol=1e-9, atol=1e-9, equal_nan=True):
            return choice
    raise DataError("pref is neither L_n - L_p nor that per token: odds_of_mean needs the sweep's own losses")


def _mean(wide: pd.DataFrame) -> FloatArray:
    """``[n]``: over the rows of each concept, then over concepts; NaN where there are none."""
    concepts = wide.index.get_level_values("concept").to_numpy(dtype=str)
    if not len(concepts):
        return np.full(wide.shape[1], np.nan)
    values = wide.to_numpy(dtype=np.float64).T
    with np.errstate(invalid="ignore"):  # inf - inf, where a loss is not finite
        # contiguous, so that an m's sum has the same bits whatever other m there are
        means = [np.ascontiguousarray(values[:, concepts == name]).mean(1) for name in np.unique(concepts)]
        return np.asarray(np.mean(means, axis=0), dtype=np.float64)


__all__ = ["AGGREGATES", "check_aggregate", "mean_curve"]
