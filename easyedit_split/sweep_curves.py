"""From a sweep table to curves over m.

    preference(m) = mean over concepts of the mean over their pairs of pref(pair, m)        (utility likewise)

One curve per model x dataset x split x form x objective x site x placement x seed; columns that a table lacks do not
split it. Only ``m1, pref, util`` are required. A pair whose utility is undefined at any m (util is not finite, or
status is not "ok") is left out of utility at every m, and listed; preference keeps it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from .sweep_table import KEY_COLUMNS, check_sweep, read_sweep
from .types import DataError, FloatArray, IntArray

Kind: TypeAlias = Literal["preference", "utility"]
KINDS: tuple[Kind, ...] = ("preference", "utility")


@dataclass(frozen=True, slots=True, order=True)
class CurveKey:
    """What tells one curve of a sweep from another; "" where the table has no such column.

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
        """The non-empty parts, joined."""
        return " / ".join(v for v in (getattr(self, c) for c in KEY_COLUMNS) if v) or "curve"


@dataclass(frozen=True)
class PairOdds:
    """Log-odds of each pair at each m.

    Attributes:
        m: ``[n]`` sorted.
        values: ``[pairs n]`` log-odds, nats.
        concepts: ``[pairs]`` concept number of each pair.
        has_pairs: False for a bare curve, whose one row is already a mean.
    """

    m: FloatArray
    values: FloatArray
    concepts: IntArray
    has_pairs: bool

    @property
    def weights(self) -> Float[FloatArray, " pairs"]:
        """Weight of each pair in the mean over pairs, then over concepts; they sum to 1."""
        return pair_weights(self.concepts)

    @property
    def mean(self) -> Float[FloatArray, " n"]:
        """The curve: mean over pairs, then over concepts, nats."""
        return self.weights @ self.values


def pair_weights(concepts: Int[IntArray, " pairs"]) -> Float[FloatArray, " pairs"]:
    """Weight of each pair in the mean over pairs, then over concepts: 1 / (number of concepts x pairs of its concept).

    Args:
        concepts: ``[pairs]`` concept number of each pair.
    """
    _, inverse, counts = np.unique(concepts, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / (len(counts) * counts[inverse]), dtype=np.float64)


def mean_deviations(
    values: Float[FloatArray, "pairs n"], concepts: Int[IntArray, " pairs"]
) -> Float[FloatArray, "pairs n"]:
    """Deviations of the pairs from their mean (influence values): rows whose outer products sum to the covariance of
    the mean over pairs, then over concepts.

    With sizes n_c of C concepts: (value - its concept's mean) sqrt(n_c / (n_c - 1)) / (C n_c); every n_c above 1.

    Args:
        values: ``[pairs n]`` nats.
        concepts: ``[pairs]`` concept number of each pair; at least two pairs of each.
    """
    out = np.empty_like(values)
    for concept in np.unique(concepts):
        members = concepts == concept
        size = int(members.sum())
        out[members] = (values[members] - values[members].mean(axis=0)) * np.sqrt(size / (size - 1))
    return out * pair_weights(concepts)[:, None]


@dataclass(frozen=True)
class SweepCurve:
    """One intervention's curves.

    Attributes:
        key: which intervention on which data.
        preference: all pairs.
        utility: the pairs whose utility is defined at every m; None when there are none.
        kept: rows of the preference pairs that utility keeps, in order.
        excluded: labels of the pairs that utility leaves out.
        source: the file or table that it was read from.
    """

    key: CurveKey
    preference: PairOdds
    utility: PairOdds | None
    kept: IntArray
    excluded: tuple[str, ...]
    source: str = ""

    @property
    def name(self) -> str:
        """What tells it from others in a sentence: its key, or the file where the table has no key columns."""
        return self.key.label() if self.key != CurveKey() else Path(self.source).name or "curve"

    def table(self, kind: Kind) -> PairOdds:
        """Log-odds of each pair, of one kind.

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
    table = check_sweep(table, source)
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
    return SweepCurve(key, preference, utility, np.flatnonzero(keep).astype(np.int64), excluded, source)


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
    """The curves of whatever holds a sweep.

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
    """Curves of several sweep files, in order; each file is checked on its own.

    Args:
        paths: .parquet, .csv or .json files.
    """
    return [curve for path in paths for curve in curves_of(read_sweep(path), str(path))]
