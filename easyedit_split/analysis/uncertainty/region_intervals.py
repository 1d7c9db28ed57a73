"""Confidence intervals of quantities derived from a fit: slopes at zero, breakdown m, region borders.

Each number is derived anew from every version of the curve that a ``Spread`` holds. A version whose linear region or
whose transition goes on to the end of the sweep counts with that end. A number that the fit itself does not have (a
border beyond the sweep, a breakdown that never comes) has no interval.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...types import ConfigError, FloatArray
from ..choose_m.interval import Interval
from ..fit.fit_curve import CurveFit
from ..regions import SideRegions, borders, regions_of, side_grid
from .ensemble import Ensemble
from .spread import Spread


@dataclass(frozen=True, slots=True)
class SideIntervals:
    """Confidence intervals of the numbers of ``SideRegions``, under the same names.

    Attributes:
        linear_end: of the end of the linear region.
        convergence_start: of the start of convergence.
        breakdown: of the breakdown point.
    """

    linear_end: Interval | None
    convergence_start: Interval | None
    breakdown: Interval | None


@dataclass(frozen=True, slots=True)
class RegionIntervals:
    """Confidence intervals of the numbers of ``Regions``; None for a sign of m that was not swept.

    Attributes:
        plus: of the side m > 0.
        minus: of the side m < 0.
        slope_left: of the slope at zero from the left, nats per unit of m.
        slope_right: of the slope at zero from the right, nats per unit of m.
        method: of the spread.
    """

    plus: SideIntervals | None
    minus: SideIntervals | None
    slope_left: Interval | None
    slope_right: Interval | None
    method: str


def region_intervals(fit: CurveFit, spread: Spread) -> RegionIntervals:
    """Confidence intervals of slopes at zero, breakdown m and region borders of one fit.

    Args:
        fit: preference or utility.
        spread: from ``spread_of``, given this fit.

    Raises:
        ConfigError: the spread was made without this kind of curve.
    """
    versions = _versions(fit, spread)
    found = regions_of(fit)
    slopes = np.array([found.slope_left, found.slope_right])
    left, right = _ends(spread, versions.slopes(), slopes)
    halves = _ends(spread, versions.breakdowns(), np.array([_number(found.minus), _number(found.plus)]))
    plus, minus = (
        None if side is None else _side(fit, spread, side, column, half)
        for side, column, half in ((found.plus, 1, halves[1]), (found.minus, 0, halves[0]))
    )
    return RegionIntervals(plus, minus, left, right, spread.method)


def _versions(fit: CurveFit, spread: Spread) -> Ensemble:
    versions = spread.preference if fit.kind == "preference" else spread.utility
    if versions is None:
        raise ConfigError(f"the spread was made without the {fit.kind} fit; give it to spread_of.")
    return versions


def _number(side: SideRegions | None) -> float:
    return float("nan") if side is None or side.breakdown is None else side.breakdown


def _ends(spread: Spread, values: FloatArray, estimate: FloatArray) -> list[Interval | None]:
    """One confidence interval per column; None where the estimate does not exist."""
    low, high = spread.interval(values, estimate)
    return [
        None if np.isnan(e) else Interval(float(a), float(b), spread.level)
        for e, a, b in zip(estimate, low, high, strict=True)
    ]


def _side(fit: CurveFit, spread: Spread, side: SideRegions, column: int, half: Interval | None) -> SideIntervals:
    drawn = spread.draws or spread
    versions, m = _versions(fit, drawn), side_grid(side.end)
    rise = versions.values(m) - versions.linear[:, :1]
    places = borders(m, rise, versions.derivatives(m), versions.slopes()[:, column])
    estimate = np.array([np.nan if v is None else v for v in (side.linear_end, side.convergence_start)])
    known = np.stack([np.where(np.isnan(place), side.end, place) for place in places], axis=1)
    linear, start = _ends(drawn, known, estimate)
    return SideIntervals(linear, start, half)
