"""Regions of a fitted curve (Section 3.3), the slope at zero, and the m at which validity is half.

On each side of zero, inside the swept range, with y the fitted curve and y'(0) that side's slope at zero:

- linear: from 0 to the first m where |y(m) - y(0) - y'(0) m| > 10 % of |y'(0) m|;
- convergence: from the last m where |y'(m)| > 10 % of its largest value on the side, to the end;
- transitional: between the two.

Breakdown is the m beyond the side's peak of validity where D(m) = 1/2: m_pm +- sqrt(L (2^(1/p) - 1)). It may lie
outside the swept range, and says so. The linear law (Bigelow et al.: log-odds = a m + c) is fitted to the points in the
linear region.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..types import FloatArray
from .fit.curves import CurveParams, side_slopes
from .fit.fit_curve import CurveFit, r_squared

TOLERANCE = 0.10
RESOLUTION = 2001  # points per side on which borders are looked for


@dataclass(frozen=True, slots=True)
class SideRegions:
    """Region borders on one side of m = 0; a border is None where the sweep ends before it.

    Attributes:
        linear_end: end of the linear region (0.0 when there is none).
        convergence_start: where the convergence region begins.
        end: the last swept m of the side.
        breakdown: m where D = 1/2 beyond the peak; None when D never reaches 1/2 on this side.
        breakdown_swept: whether it lies inside the sweep.
    """

    linear_end: float | None
    convergence_start: float | None
    end: float
    breakdown: float | None
    breakdown_swept: bool


@dataclass(frozen=True, slots=True)
class LinearLaw:
    """Slope and intercept of the linear law of Bigelow et al., for comparison with the fitted curve.

    Attributes:
        slope: least-squares slope over the points of the linear region, nats per unit of m (NaN under 3 points).
        n_points: points of the linear region.
        r2_linear: R2 of that line on those points.
        r2_all: R2 of that line on every swept point.
    """

    slope: float
    n_points: int
    r2_linear: float
    r2_all: float


@dataclass(frozen=True, slots=True)
class Regions:
    """Linear, transitional and convergence regions of one fitted curve.

    Attributes:
        plus: the side m > 0; None when it was not swept.
        minus: the side m < 0; None when it was not swept.
        slope_left: slope at zero from the left, nats per unit of m (the curve may have a kink there).
        slope_right: slope at zero from the right, nats per unit of m.
        linear_law: compared on the measured points.
    """

    plus: SideRegions | None
    minus: SideRegions | None
    slope_left: float
    slope_right: float
    linear_law: LinearLaw


def breakdown(params: CurveParams) -> tuple[float | None, float | None]:
    """Breakdown points (m-, m+) where D = 1/2 beyond the peak for each sign of m; None where there is none or none was
    swept.

    Args:
        params: the nine parameters.
    """

    def half(c: float, L: float, p: float, sign: float) -> float | None:
        m = c + sign * float(np.sqrt(L * np.expm1(min(np.log(2.0) / p, 700.0))))
        return m if np.isfinite(m) and m * sign > 0 else None

    minus = half(params.m_minus, params.L_minus, params.p_minus, -1.0)
    return minus, half(params.m_plus, params.L_plus, params.p_plus, 1.0)


def regions_of(fit: CurveFit) -> Regions:
    """Linear, transitional and convergence regions of a fit, by the definition at the top of this file.

    Args:
        fit: of the preference or the utility.
    """
    low, high = fit.swept
    left, right = side_slopes(fit.params)
    halves = breakdown(fit.params)
    plus = _side(fit, high, right, halves[1]) if high > 0 else None
    minus = _side(fit, low, left, halves[0]) if low < 0 else None
    return Regions(plus, minus, left, right, _linear_law(fit, plus, minus))


def _side(fit: CurveFit, end: float, slope0: float, half: float | None) -> SideRegions:
    sign = np.sign(end)
    m = side_grid(end)
    y0 = fit.params.beta * _validity_at_zero(fit.params, sign) + fit.params.b
    linear, start = (float(ends[0]) for ends in borders(m, fit(m)[None] - y0, fit.slope(m)[None], np.array([slope0])))
    inside = half is not None and abs(half) <= abs(end)
    return SideRegions(_or_none(linear), _or_none(start), float(end), half, inside)


def side_grid(end: float) -> Float[FloatArray, " g"]:
    """Fine grid from zero (excluded) to one end of the sweep.

    Args:
        end: last swept m of the side.
    """
    return np.linspace(0.0, end, RESOLUTION)[1:]


def borders(
    m: Float[FloatArray, " g"],
    rise: Float[FloatArray, "B g"],
    slope: Float[FloatArray, "B g"],
    slope0: Float[FloatArray, " B"],
) -> tuple[Float[FloatArray, " B"], Float[FloatArray, " B"]]:
    """End of the linear region and start of convergence of each draw on one side of m = 0; NaN beyond the sweep.

    Args:
        m: from ``side_grid``.
        rise: y(m) - y(0), nats.
        slope: y'(m), nats per unit of m.
        slope0: y'(0) of this side, nats per unit of m.
    """
    straight = slope0[:, None] * m
    beyond = np.abs(rise - straight) > TOLERANCE * np.abs(straight)
    before = np.concatenate([[0.0], m[:-1]])
    linear = np.where(beyond.any(axis=1), before[beyond.argmax(axis=1)], np.nan)
    steep = np.abs(slope)
    flat_for = (steep > TOLERANCE * steep.max(axis=1, keepdims=True))[:, ::-1].argmax(axis=1)
    start = np.where((flat_for > 0) & ~np.isnan(linear), m[-flat_for], np.nan)
    return linear, np.where(np.abs(start) < np.abs(linear), linear, start)


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value


def _validity_at_zero(params: CurveParams, sign: float) -> float:
    c, L, p = (
        (params.m_plus, params.L_plus, params.p_plus) if sign > 0 else (params.m_minus, params.L_minus, params.p_minus)
    )
    return float(np.exp(-p * np.log1p(c * c / L)))


def _linear_law(fit: CurveFit, plus: SideRegions | None, minus: SideRegions | None) -> LinearLaw:
    low, high = fit.swept

    def border(side: SideRegions | None, end: float) -> float:
        if side is None:
            return 0.0
        return end if side.linear_end is None else side.linear_end

    inside = (fit.m >= border(minus, low)) & (fit.m <= border(plus, high))
    if inside.sum() < 3:
        return LinearLaw(float("nan"), int(inside.sum()), float("nan"), float("nan"))
    slope, intercept = np.polyfit(fit.m[inside], fit.y[inside], 1)
    line: FloatArray = slope * fit.m + intercept
    within = r_squared(fit.y[inside], line[inside])
    return LinearLaw(float(slope), int(inside.sum()), within, r_squared(fit.y, line))
