"""Smoothing spline through the points, for slope and regions where the paper's curve has a lack of fit.

    minimise  sum w_j (y_j - s(m_j))^2 + lambda int s''(m)^2 dm        over natural cubic splines s

    s(m_j) = W^-1/2 V (1 + lambda E)^-1 V' W^1/2 y,      W^-1/2 K W^-1/2 = V E V',   int s''^2 = s' K s   (Reinsch 1967)

lambda by generalised cross-validation on the mean curve, w_j from ``weights``; nothing about the curve is assumed but
that it is smooth (no kink at 0, no monotony). For a given lambda s is linear in y, so every pair has its own slope, and
Student's interval of their mean is the slope's. Added to it is what the grid may hide: the slope's change when points
next to 0 are left out, halved, since the real grid is twice as fine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats
from scipy.interpolate import CubicSpline

from ..log_odds import PairOdds, mean_deviations
from ..types import FloatArray
from .choose_m.interval import Interval
from .fit.weights import spacing_weights
from .regions import borders, side_grid

FEWEST = 5  # points of a smoothing spline
LAMBDAS = np.geomspace(1e-9, 1e3, 97)  # in units of the median stiffness


@dataclass(frozen=True)
class SmoothCurve:
    """A smoothing spline over a swept mean curve.

    Attributes:
        spline: nats over m.
        m: ``[n]`` swept.
        slope: at m = 0, nats per unit of m.
        slope_interval: confidence interval of the slope; None without pairs.
        linear_ends: where the linear region ends, minus and plus side; None where the sweep ends before.
    """

    spline: CubicSpline
    m: FloatArray
    slope: float
    slope_interval: Interval | None
    linear_ends: tuple[float | None, float | None]

    def __call__(self, m: Float[FloatArray, " q"]) -> Float[FloatArray, " q"]:
        """Value of the spline at m, nats.

        Args:
            m: any m within the sweep.
        """
        return np.asarray(self.spline(m), dtype=np.float64)


def smooth_curve(table: PairOdds, level: float = 0.95) -> SmoothCurve | None:
    """Fit a smoothing spline to a swept curve; None with fewer than five points.

    Args:
        table: pairs over the swept m, 0 inside.
        level: of the slope's interval.
    """
    m = table.m
    if len(m) < FEWEST or not m[0] <= 0 <= m[-1]:
        return None
    hat = _hat(m, table.mean)
    spline = CubicSpline(m, hat @ table.mean, bc_type="natural")
    slope = float(spline(0.0, 1))
    return SmoothCurve(
        spline, m, slope, _slope_interval(table, hat, slope, level), (_end(spline, m[0]), _end(spline, m[-1]))
    )


def _hat(m: Float[FloatArray, " n"], y: Float[FloatArray, " n"]) -> Float[FloatArray, "n n"]:
    """Smoother (hat) matrix of values at m, with lambda chosen for y."""
    root = np.sqrt(spacing_weights(m))
    stiffness, V = np.linalg.eigh(_roughness(m / np.abs(m).max()) / np.outer(root, root))
    stiffness = np.maximum(stiffness, 0.0)
    kept = 1.0 / (1.0 + np.outer(LAMBDAS / np.median(stiffness), stiffness))
    seen = V.T @ (root * y)
    missed = np.square((1.0 - kept) * seen).sum(axis=1)
    free = np.maximum(len(m) - kept.sum(axis=1), 1e-12)
    best = kept[int((missed / free**2).argmin())]
    return np.asarray((V * best) @ V.T * root / root[:, None], dtype=np.float64)


def _roughness(x: Float[FloatArray, " n"]) -> Float[FloatArray, "n n"]:
    """Roughness penalty matrix K: s' K s is the integral of s''^2 of the natural cubic spline through s at x."""
    h, n = np.diff(x), len(x)
    Q, R = np.zeros((n, n - 2)), np.zeros((n - 2, n - 2))
    for j in range(n - 2):
        Q[j : j + 3, j] = 1 / h[j], -1 / h[j] - 1 / h[j + 1], 1 / h[j + 1]
        R[j, j] = (h[j] + h[j + 1]) / 3
        if j + 1 < n - 2:
            R[j, j + 1] = R[j + 1, j] = h[j + 1] / 6
    return np.asarray(Q @ np.linalg.solve(R, Q.T), dtype=np.float64)


def _slope_interval(table: PairOdds, hat: FloatArray, slope: float, level: float) -> Interval | None:
    """Confidence interval of the slope from the variation between pairs, widened by half of the leave-out change."""
    concepts, counts = np.unique(table.concepts, return_counts=True)
    if not table.has_pairs or counts.min() < 2:
        return None
    slopes = CubicSpline(table.m, hat @ table.values.T, bc_type="natural")(0.0, 1)
    error = float(np.sqrt(np.square(mean_deviations(slopes[:, None], table.concepts)).sum()))
    half = float(stats.t.ppf((1 + level) / 2, counts.sum() - len(concepts))) * error + _hidden(table, slope)
    return Interval(slope - half, slope + half, level)


def _hidden(table: PairOdds, slope: float) -> float:
    """Half of the slope's largest change when one or both neighbours of 0 are left out."""
    m, y = table.m, table.mean
    zero = int(np.abs(m).argmin())
    changes = [0.0]
    for out in ([zero - 1], [zero + 1], [zero - 1, zero + 1]):
        rest = np.setdiff1d(np.arange(len(m)), out)
        if all(0 < k < len(m) - 1 for k in out) and len(rest) >= FEWEST:
            smoothed = _hat(m[rest], y[rest]) @ y[rest]
            changes.append(abs(float(CubicSpline(m[rest], smoothed, bc_type="natural")(0.0, 1)) - slope))
    return max(changes) / 2


def _end(spline: CubicSpline, end: float) -> float | None:
    """End of the linear region on one side of m = 0, by the definition of ``regions``."""
    if end == 0:
        return None
    m, slope0 = side_grid(end), np.array([float(spline(0.0, 1))])
    linear, _ = borders(m, (spline(m) - spline(0.0))[None], spline(m, 1)[None], slope0)
    return None if np.isnan(linear[0]) else float(linear[0])
