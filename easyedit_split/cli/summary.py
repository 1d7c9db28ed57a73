"""The mean curve of a sweep, as the commands print it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from rich.table import Table

from ..means import mean_curve
from .console import console, out


def print_summary(table: pd.DataFrame, most: int = 13, aggregate: str = "pairs") -> None:
    """Mean preference and utility at up to ``most`` of the m's, and how many pairs have no utility.

    Args:
        table: a sweep.
        most: rows to print at most.
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
    places = np.linspace(0, len(curve) - 1, min(most, len(curve))).round().astype(int)
    for m1, m2, pref, util in curve.iloc[places][["m1", "m2", "pref", "util"]].to_numpy():
        cells = [f"{m1:.4g}" if m1 == m2 else f"{m1:.4g}, {m2:.4g}"]
        cells += [] if natural is None else [f"{natural[m1]:.3g}"]
        shown.add_row(*cells, f"{pref:+.2f}", f"{util:+.2f}")
    out.print(shown)
    if excluded:
        console.print(f"utility is undefined at some m for {excluded:g} of {pairs:g} pairs: they are left out of it")
