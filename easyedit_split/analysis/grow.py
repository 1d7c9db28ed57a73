"""Adaptive grid that extends the sweep outward until utility has lost 80 % of its range.

    lost(m) = (max util - util(m)) / (max util - b)          from the fitted curve of Eq. 17, b its value as |m| -> inf

Near m = 0 every curve is a line and any form fits; only a sweep that shows most of the decay tells forms apart. Where
the grid ends cannot be known beforehand on a model that nobody tuned, so each outermost m is followed by another, half
as large again, until that side has lost its 80 %, or the limit is reached; ``decay_report`` says which.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..sweep_curves import SweepCurve, curves_of
from ..types import DataError
from .choose_m.refine import look_closer
from .fill_gaps import FillGaps
from .fit.curves import utility_curve
from .fit.fit_curve import fit_curve
from .fit.problem import FitError

ENOUGH = 0.8  # of utility's range, lost at the end of a side
FACTOR = 1.5  # from one outermost m to the next
MOST_GROWTH = 8.0  # times the outermost m of the grid that it begins with
_FINE = 2001

Points = Sequence[tuple[float, float]]
Rule = Callable[[pd.DataFrame], Points]


@dataclass(frozen=True, slots=True)
class SideDecay:
    """Share of utility's fitted range that is lost at one end of a sweep.

    Attributes:
        m: the outermost swept m of that side; 0 where the side was not swept.
        lost: share of the range lost there, 0 to 1; NaN where the curve could not be fitted.
    """

    m: float
    lost: float

    @property
    def reached(self) -> bool:
        """Whether utility has lost enough of its range at this end."""
        return self.lost >= ENOUGH


def decay_shown(curve: SweepCurve) -> tuple[SideDecay, SideDecay]:
    """Share of utility's range that is lost at the lower and the upper end of a swept curve.

    Args:
        curve: its utility is fitted anew; where that fails, both shares are NaN.
    """
    table = curve.preference if curve.utility is None else curve.utility
    ends = (min(float(table.m[0]), 0.0), max(float(table.m[-1]), 0.0))
    try:
        fit = fit_curve(curve.table("utility").m, curve.table("utility").mean, "utility")
    except (DataError, FitError):
        return SideDecay(ends[0], float("nan")), SideDecay(ends[1], float("nan"))
    inside = np.linspace(float(table.m[0]), float(table.m[-1]), _FINE)
    highest, floor = float(utility_curve(inside, fit.params).max()), fit.params.b
    at_ends = utility_curve(np.array(ends), fit.params)
    lost = (highest - at_ends) / (highest - floor) if highest > floor else np.full(2, np.nan)
    return SideDecay(ends[0], float(lost[0])), SideDecay(ends[1], float(lost[1]))


@dataclass(frozen=True, slots=True)
class GrowOutward:
    """Further m for ``sweep(next_points=...)``: one beyond each end at which utility has not yet lost enough.

    Attributes:
        limit: largest |m| to look at.
    """

    limit: float

    def __call__(self, table: pd.DataFrame) -> tuple[tuple[float, float], ...]:
        """The next m ``(m, m)`` beyond each curve's unfinished ends; none once all are done, or at the limit.

        Args:
            table: the sweep so far.

        Raises:
            DataError: the table is no sweep.
        """
        found: dict[tuple[float, float], None] = {}
        for curve in curves_of(table):
            for side in decay_shown(curve):
                wanted = side.m * FACTOR
                if wanted != 0 and not side.reached and abs(wanted) <= self.limit:
                    found[wanted, wanted] = None
        return tuple(found)


def next_points(points: Sequence[float], *, grows: bool, refine: bool) -> Rule:
    """Callable that names further m of a sweep: where the grid grows, outward first, then into gaps that are still
    uncertain; then near the best m, where asked.

    Args:
        points: the m that the sweep begins with.
        grows: see the module, and ``fill_gaps``.
        refine: score further m, to where the wanted answers are likeliest.
    """
    rules: list[Rule] = [GrowOutward(MOST_GROWTH * max(map(abs, points))), FillGaps()] if grows else []
    return one_after_another(*rules, *([look_closer] if refine else []))


def one_after_another(*callables: Rule) -> Rule:
    """Chain several callables for further m: each begins where the one before has none left.

    Args:
        *callables: each as ``sweep(next_points=...)`` takes it.
    """

    def points(table: pd.DataFrame) -> Points:
        return next((found for each in callables if (found := each(table))), ())

    return points


def decay_report(curve: SweepCurve) -> str:
    """A sentence on how much of utility's range a sweep shows to be lost.

    Args:
        curve: the finished sweep.
    """
    sides = [side for side in decay_shown(curve) if side.m != 0]
    if not sides:
        return "the sweep holds m = 0 alone, so it shows no decay"
    if any(np.isnan(side.lost) for side in sides):
        return "utility could not be fitted, so nothing says how much of its decay the sweep shows"
    parts = " and ".join(f"{100 * side.lost:.0f} % of its range at m = {side.m:.3g}" for side in sides)
    verdict = "the decay is shown" if any(side.reached for side in sides) else "a wider sweep would show more of it"
    return f"utility has lost {parts}: {verdict}"
