"""Curves of preference and utility log-odds over m, grouped from the rows of a sweep table.

    preference(m) = mean over concepts of the mean over their pairs of pref(pair, m)        (utility likewise)

One curve per model x dataset x split x form x objective x site x placement x seed; columns that a table lacks do not
split it. Only ``m1, pref, util`` are required. A pair whose utility is undefined at any m (util is not finite, or
status is not "ok") is left out of utility at every m, and listed; preference keeps it.

``mean_curve`` gives the same means as a plain table, for sweeps over (m1, m2) too, and by two ways of averaging:

    pairs           mean over concepts of (mean over a concept's pairs of odds(L_p, L_n))
    odds_of_mean    mean over concepts of odds(mean over its pairs of L_p, mean over its pairs of L_n)

with the odds of Eq. 7 and 8. Under ``odds_of_mean`` a concept's pairs are left out where its own utility is undefined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd

from . import log_odds
from .log_odds import PairOdds, mean_over_pairs
from .registry import nearest
from .sweep_table import KEY_COLUMNS, check_sweep, completed, finite_points, read_sweep, with_own_losses
from .types import ConfigError, DataError, IntArray

Kind: TypeAlias = Literal["preference", "utility"]
KINDS: tuple[Kind, ...] = ("preference", "utility")


@dataclass(frozen=True, slots=True, order=True)
class CurveKey:
    """The identity of one curve in a sweep table (model, dataset, concept ...); "" where the table has no such column.

    Attributes:
        model: model id or folder.
        dataset: name of the dataset.
        split: ``train``, ``dev`` or ``test``.
        form: ``vector``, ``lora``, ``local_weight`` or another registered one.
        objective: ``split``, ``sft``, ``reps``, ``diff_mean`` or another registered one.
        site: where the update acts, e.g. ``20.mlp.down_proj``.
        placement: ``site`` or ``block_output``.
        seed: of the training run.
    """

    model: str = ""
    dataset: str = ""
    split: str = ""
    form: str = ""
    objective: str = ""
    site: str = ""
    placement: str = ""
    seed: str = ""

    def label(self) -> str:
        """The non-empty parts of the key, joined into a label."""
        return " / ".join(v for v in (getattr(self, c) for c in KEY_COLUMNS) if v) or "curve"


@dataclass(frozen=True)
class SweepCurve:
    """Preference and utility log-odds over m of one intervention, for each pair.

    Attributes:
        key: which intervention on which data.
        preference: all pairs.
        utility: the pairs whose utility is defined at every m; None when there are none.
        kept: rows of the preference pairs that utility keeps, in order.
        excluded: labels of the pairs that utility leaves out.
        source: the file or table that it was read from.
        r_per_m: |dh| / |h| at m = 1, natural units; None where the table has no column ``r``.
        trained_on: how many of the pairs the intervention was trained on, as far as the table says.
        concept: the one concept that it is of; empty for a mean over concepts.
    """

    key: CurveKey
    preference: PairOdds
    utility: PairOdds | None
    kept: IntArray
    excluded: tuple[str, ...]
    source: str = ""
    r_per_m: float | None = None
    trained_on: int = 0
    concept: str = ""

    @property
    def name(self) -> str:
        """Name of the curve in a sentence: its key, or the file where the table has no key columns."""
        return self.key.label() if self.key != CurveKey() else Path(self.source).name or "curve"

    def table(self, kind: Kind) -> PairOdds:
        """Log-odds of each pair at each m, preference or utility.

        Args:
            kind: ``preference`` or ``utility``.

        Raises:
            DataError: utility is undefined for every pair.
        """
        if kind == "preference":
            return self.preference
        if self.utility is None:
            raise DataError(
                f"{self.name}: utility is undefined for all {len(self.excluded)} pairs at some m; "
                "score with summed losses, or sweep smaller |m|."
            )
        return self.utility


def curves_of(table: pd.DataFrame, source: str = "sweep") -> list[SweepCurve]:
    """Group a sweep table into curves, in the order of first appearance.

    Args:
        table: a sweep of any number of runs, as ``check_sweep`` accepts it.
        source: what the table is called in error messages, e.g. its file.

    Raises:
        DataError: as ``check_sweep``; or a curve has a pair twice at one m, pairs swept over different m, or one m1
            with several m2.
    """
    table = finite_points(check_sweep(table, source), source)
    present = [c for c in KEY_COLUMNS if c in table.columns]
    keys = table[present].astype("string").fillna("") if present else pd.DataFrame(index=table.index)
    groups: dict[tuple[str, ...], list[int]] = {}
    for row, values in enumerate(keys.itertuples(index=False, name=None)):
        groups.setdefault(values, []).append(row)
    return [
        _curve(CurveKey(**dict(zip(present, values, strict=True))), table.iloc[rows], source)
        for values, rows in groups.items()
    ]


def _curve(key: CurveKey, rows: pd.DataFrame, source: str) -> SweepCurve:
    where = f"{source}: {key.label()}"
    concept = rows["concept"].astype("string").fillna("") if "concept" in rows else pd.Series("", index=rows.index)
    has_pairs = "pair" in rows.columns
    pair = rows["pair"].astype("string") if has_pairs else pd.Series("", index=rows.index)
    label = (concept + " " + pair).str.strip()
    rows = rows.assign(_concept=concept, _label=label)
    _check_grid(rows, where, has_pairs)
    pref = rows.pivot(index="_label", columns="m1", values="pref")
    _check_complete(pref, where)
    defined = np.isfinite(rows["util"])
    if "status" in rows.columns:
        defined &= rows["status"].astype("string").fillna("ok") == "ok"
    util = rows.assign(util=rows["util"].where(defined)).pivot(index="_label", columns="m1", values="util")
    kept = util.notna().all(axis=1)
    concepts = rows.drop_duplicates("_label").set_index("_label")["_concept"].reindex(pref.index)
    codes = np.unique(concepts.to_numpy(dtype=str), return_inverse=True)[1].astype(np.int64)
    m = pref.columns.to_numpy(dtype=np.float64)
    keep = kept.to_numpy()
    utility = PairOdds(m, util[kept].to_numpy(dtype=np.float64), codes[keep], has_pairs) if keep.any() else None
    excluded = tuple(str(name) or "the only row" for name in util.index[~kept])
    preference = PairOdds(m, pref.to_numpy(dtype=np.float64), codes, has_pairs)
    order = np.flatnonzero(keep).astype(np.int64)
    trained = int(rows.loc[rows["trained_on"] > 0, "_label"].nunique()) if "trained_on" in rows.columns else 0
    return SweepCurve(key, preference, utility, order, excluded, source, _r_per_m(rows), trained)


def _r_per_m(rows: pd.DataFrame) -> float | None:
    """Relative change r = |dh| / |h| per unit of m, taken at the largest |m| whose r is known."""
    if "r" not in rows.columns:
        return None
    known = rows[np.isfinite(rows["r"]) & (rows["m1"] != 0)]
    if known.empty:
        return None
    outermost = known.loc[known["m1"].abs().idxmax()]
    return float(outermost["r"] / outermost["m1"])


def _check_grid(rows: pd.DataFrame, where: str, has_pairs: bool) -> None:
    twice = rows.duplicated(["_label", "m1"])
    if twice.any():
        row = rows[twice].iloc[0]
        what = f"pair {row['_label']!r}" if has_pairs else "the curve"
        hint = "" if has_pairs else " (a table of several pairs needs a column 'pair')"
        raise DataError(f"{where}: {what} appears more than once at m1 = {row['m1']:g}; keep one row each{hint}.")
    if "m2" in rows.columns:
        spread = rows.groupby("m1")["m2"].nunique()
        if (spread > 1).any():
            m1 = float(spread.index[int((spread > 1).to_numpy().argmax())])
            raise DataError(f"{where}: m1 = {m1:g} comes with several m2; a curve needs one m2 for each m1.")


def _check_complete(pref: pd.DataFrame, where: str) -> None:
    holes = pref.isna().to_numpy()
    if holes.any():
        pair, column = (int(v) for v in np.argwhere(holes)[0])
        raise DataError(
            f"{where}: pair {pref.index[pair]!r} has no row at m1 = {float(pref.columns[column]):g}, where others do; "
            "every pair of a curve must be swept over the same m: finish the sweep or leave the pair out."
        )


SweepLike: TypeAlias = pd.DataFrame | str | Path | Sequence[SweepCurve]
"""A sweep table, its file, or the curves of one."""


def as_curves(sweep: SweepLike) -> list[SweepCurve]:
    """Convert a sweep table, its file, or the curves of one into a tuple of curves.

    Args:
        sweep: a table, the path of one, or curves, which are given back.

    Raises:
        DataError: a table that is none of a sweep, as ``curves_of``.
    """
    if isinstance(sweep, pd.DataFrame):
        return curves_of(sweep)
    if isinstance(sweep, str | Path):
        return curves_of(read_sweep(sweep), str(sweep))
    return list(sweep)


def read_curves(paths: Sequence[str | Path]) -> list[SweepCurve]:
    """Read the curves of several sweep files, in order; each file is checked on its own.

    Args:
        paths: .parquet, .csv or .json files.
    """
    return [curve for path in paths for curve in curves_of(read_sweep(path), str(path))]


AGGREGATES = ("pairs", "odds_of_mean")


def check_aggregate(name: str) -> str:
    """Check the name of an aggregation, one of ``AGGREGATES``, and return it.

    Args:
        name: what was asked for.

    Raises:
        ConfigError: it is not.
    """
    if name not in AGGREGATES:
        raise ConfigError(f"unknown aggregation {name!r}{nearest(name, AGGREGATES)}")
    return name


def mean_curve(table: pd.DataFrame, aggregate: str = "pairs") -> pd.DataFrame:
    """Mean log-odds of one sweep at each m: the mean over pairs, then over concepts.

    Args:
        table: as ``sweep_pairs`` makes it. ``pairs`` needs ``m1, pref, util`` alone, ``odds_of_mean`` the losses too.
        aggregate: ``pairs`` or ``odds_of_mean``, see the module.

    Returns:
        One row per m, in order: ``m1, m2, pref, util``, the number of ``pairs``, and how many of them are ``excluded``
        from utility (the same at every m). ``util`` is NaN where no pair is left.

    Raises:
        ConfigError: another aggregation.
        DataError: a column is missing, a pair stands twice at one m or is missing at another, or the table's log-odds
            are not those of its losses.
    """
    check_aggregate(aggregate)
    rows = completed(table)
    pref, util = _wide(rows, "pref"), _wide(rows.assign(util=rows["util"].where(rows["status"] == log_odds.OK)), "util")
    if aggregate == "odds_of_mean":
        pref, util = _of_mean_losses(rows)
    sizes = rows.drop_duplicates(["concept", "pair"]).groupby("concept").size()
    kept = util[np.isfinite(util.to_numpy()).all(1)]
    left_out = util.index.difference(kept.index).get_level_values("concept")
    excluded = len(left_out) if aggregate == "pairs" else int(sizes[left_out].sum())
    curve = pd.DataFrame(
        {
            name: mean_over_pairs(wide.to_numpy(np.float64), wide.index.get_level_values("concept").to_numpy(dtype=str))
            for name, wide in (("pref", pref), ("util", kept))
        },
        index=pref.columns,
    ).reset_index()
    return curve.assign(pairs=int(sizes.sum()), excluded=excluded)


def _wide(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """One column of a sweep as a matrix ``[pairs n]``: a row per (concept, pair), a column per (m1, m2)."""
    wide = rows.set_index(["concept", "pair", "m1", "m2"])[name].unstack(["m1", "m2"]).sort_index(axis=1)
    if len(rows) < wide.size:
        raise DataError(
            f"the sweep has {len(rows)} rows for {wide.shape[0]} pairs at {wide.shape[1]} m: finish it, or give the "
            "rows of one sweep"
        )
    return wide


def _of_mean_losses(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Log-odds ``(pref, util)`` of the mean losses over pairs, ``[concepts n]`` each."""
    L_p, L_n = (_wide(with_own_losses(rows), name) for name in ("L_p", "L_n"))
    groups = L_p.groupby(level="concept").indices
    odds = [log_odds.odds_of_mean(L_p.to_numpy()[chosen], L_n.to_numpy()[chosen]) for chosen in groups.values()]
    index = pd.Index(list(groups), name="concept")
    pref, util = (pd.DataFrame(list(part), index, L_p.columns) for part in zip(*odds, strict=True))
    return pref, util
