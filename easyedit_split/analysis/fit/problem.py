"""Check one curve and scale it for a solver: x = m / max|m|, y centred and divided by its range.

Nothing is dropped here. Points may come in any order (order has no meaning); everything else that a fit cannot use
is an error that says which point, what was allowed and what to do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ...sweep_curves import KINDS, Kind
from ...types import DataError, FloatArray, IntArray, SteeringError
from .decay import RationalQuadratic

M_LIMITS = (1e-100, 1e9)  # of max |m|
Y_LIMIT = 1e100  # nats; squares of sums must stay finite
CLOSEST = 1e-12  # least distance of two m, in units of max |m|


class FitError(SteeringError):
    """A curve could not be fitted: the solver did not converge."""


@dataclass(frozen=True)
class Problem:
    """One curve, checked and scaled, ready for a solver.

    Attributes:
        kind: which equation.
        m: ``[n]`` as given, sorted.
        y: ``[n]`` as given, sorted by m, nats.
        order: ``[n]`` the sorting permutation of the input.
        scale: max |m|.
        offset: y = offset + span * target, nats.
        span: range of y, nats.
        target: ``[n]`` centred and scaled y.
        decay: the shape family on x = m / scale.
    """

    kind: Kind
    m: FloatArray
    y: FloatArray
    order: IntArray
    scale: float
    offset: float
    span: float
    target: FloatArray
    decay: RationalQuadratic

    @property
    def with_alpha(self) -> bool:
        """Whether alpha is a free parameter (Eq. 15)."""
        return self.kind == "preference"

    @property
    def n_params(self) -> int:
        """Number of free parameters: 8 or 7 for both signs of m (continuity takes one of nine or eight), 6 or 5 for
        one.
        """
        return self.decay.n_params + (3 if self.with_alpha else 2)


def curve_problem(m: Float[FloatArray, " n"], y: Float[FloatArray, " n"], kind: Kind) -> Problem:
    """Check one curve and scale it for a solver.

    Args:
        m: swept m, in any order.
        y: log-odds, nats.
        kind: ``preference`` or ``utility``.

    Raises:
        DataError: not one value per m, NaN or infinite values, max |m| outside 1e-100 to 1e9, |y| beyond 1e100, m that
            are equal or closer than 1e-12 max |m|, fewer points than parameters, constant y.
    """
    m, y = np.asarray(m, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if kind not in KINDS:
        raise DataError(f"kind {kind!r} is not a curve; use one of {', '.join(KINDS)}.")
    for name, values in (("m", m), (kind, y)):
        if values.ndim != 1:
            raise DataError(f"{name} has shape {values.shape}; a curve is a list of points: give one number per m.")
    if m.shape != y.shape:
        raise DataError(f"m has {len(m)} points and the {kind} has {len(y)}; give one value per m.")
    _check_values(m, y, kind)
    order = np.argsort(m, kind="stable").astype(np.int64)
    m, y = m[order], y[order]
    repeated = m[1:][np.diff(m) == 0]
    if len(repeated):
        raise DataError(f"m = {repeated[0]:g} appears more than once; average the points of one m before fitting.")
    close = np.flatnonzero(np.diff(m) < CLOSEST * np.abs(m).max()) if len(m) else m
    if len(close):
        a, b = (float(v) for v in m[close[0] : close[0] + 2])
        raise DataError(f"m = {a:.17g} and m = {b:.17g} are too close to tell apart; average the points of one m.")
    problem = _scaled(m, y, order, kind)
    if len(m) < problem.n_params:
        raise DataError(
            f"{len(m)} points cannot fit the {problem.n_params} parameters of the {kind} curve; sweep more values of m."
        )
    return problem


def _check_values(m: FloatArray, y: FloatArray, kind: Kind) -> None:
    for name, values in (("m", m), (kind, y)):
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise DataError(
                f"{name} is {values[bad[0]]} at point {bad[0]} (of {len(values)}, counted from 0); "
                "every value must be finite: leave the point out or score it again."
            )
    reach = float(np.abs(m).max()) if len(m) else 1.0
    if reach > M_LIMITS[1]:
        raise DataError(f"m reaches {reach:g}; |m| may be at most {M_LIMITS[1]:g}: rescale m.")
    if 0 < reach < M_LIMITS[0]:
        raise DataError(f"m reaches {reach:g} only; the largest |m| must be at least {M_LIMITS[0]:g}: rescale m.")
    if len(y) and np.abs(y).max() > Y_LIMIT:
        raise DataError(f"the {kind} reaches {np.abs(y).max():g} nats; at most {Y_LIMIT:g} can be fitted.")
    if len(y) and np.ptp(y) <= 1e-12 * max(1.0, float(np.abs(y).max())):
        raise DataError(f"the {kind} is constant ({y[0]:g} nats at every m): no curve to fit; sweep wider.")


def _scaled(m: FloatArray, y: FloatArray, order: Int[IntArray, " n"], kind: Kind) -> Problem:
    scale = (float(np.abs(m).max()) if len(m) else 0.0) or 1.0
    n_left = int((m < 0).sum())
    decay = RationalQuadratic(m / scale, n_left, two_sided=bool(n_left and (m > 0).any()))
    offset, span = float(y.mean()) if len(y) else 0.0, float(np.ptp(y)) if len(y) else 1.0
    return Problem(kind, m, y, order, scale, offset, span, (y - offset) / span, decay)
