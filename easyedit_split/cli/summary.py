"""Print the mean curve of a sweep."""

from __future__ import annotations

import numpy as np
import pandas as pd
from rich.table import Table

from ..analysis import curves_of, style_of
from ..analysis.choose_m.scored_pairs import ScoredPairs
from ..sweep_curves import mean_curve
from .console import console, out


def print_summary(table: pd.DataFrame, most: int = 13, aggregate: str = "pairs") -> None:
    """Print mean preference and utility at up to ``most`` of the m, and how many pairs have undefined utility.

    Args:
        table: a sweep.
        most: rows to print; m = 0 and the best m are shown besides.
        aggregate: ``pairs`` or ``odds_of_mean``.
    """
    curve = mean_curve(table, aggregate)
    pairs, excluded = curve.loc[0, ["pairs", "excluded"]]
    concepts = table["concept"].nunique()
    what = "mean" if aggregate == "pairs" else "log-odds of the mean losses"
    over = f" of {concepts} concepts" if concepts > 1 else ""
    natural = table.drop_duplicates("m1").set_index("m1")["r"] if "r" in table else None
    columns = ["m", *([] if natural is None else ["r"]), "preference (nats)", "utility (nats)"]
    shown = Table(*columns, title=f"{what} of {pairs:g} pairs{over}", box=None)
    even = np.linspace(0, len(curve) - 1, min(most, len(curve))).round().astype(int)
    told = [int(curve["m1"].abs().argmin()), *_best(table, curve["m1"].to_numpy())]
    places = np.union1d(even, np.array(told, dtype=int))
    for m1, m2, pref, util in curve.iloc[places][["m1", "m2", "pref", "util"]].to_numpy():
        cells = [f"{m1:.4g}" if m1 == m2 else f"{m1:.4g}, {m2:.4g}"]
        cells += [] if natural is None else [f"{natural[m1]:.3g}"]
        shown.add_row(*cells, f"{pref:+.2f}", f"{util:+.2f}")
    out.print(shown)
    style = _style(table)
    if style:
        console.print(style)
    if excluded:
        console.print(
            f"utility is undefined at some m for {excluded:g} of {pairs:g} pairs: they are left out of its mean"
        )


def _scored(table: pd.DataFrame) -> ScoredPairs | None:
    """Scored pairs of a sweep of one intervention; None where it has several, or no utility."""
    curves = curves_of(table)
    if len(curves) != 1 or curves[0].utility is None:
        return None
    return ScoredPairs.of(curves[0], "raise")


def _best(table: pd.DataFrame, m: np.ndarray) -> list[int]:
    """Index of the swept m with the greatest mean log-probability of the wanted answers; none where undefined."""
    pairs = _scored(table)
    if pairs is None:
        return []
    return [int(np.abs(m - pairs.m[int(pairs.mean_capped.argmax())]).argmin())]


def _style(table: pd.DataFrame) -> str:
    """A sentence on the rise of utility by learnt style, where it is significant."""
    pairs = _scored(table)
    style = None if pairs is None else style_of(pairs)
    return "" if style is None else style.sentence()
