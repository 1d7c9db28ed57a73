"""Validity decay (Eq. 12), reparametrised so that it is continuous at m = 0 by construction.

With x = m / scale, one side of Eq. 12 relative to its value at zero is

    log G(x) = -p log1p( x (x - 2c) / (L e^(kappa/p)) ),      kappa = -log D(0) = p log(1 + c^2 / L).

D+(0) = D-(0) says that kappa is one number for both sides. Free coordinates are t, with kappa = t^2, and per side
log(p/L) and log p; the centres follow:

    c+ = t g+,   c- = sigma t g-,   g = sqrt( L (e^(kappa/p) - 1) / kappa )   (-> sqrt(L/p) as kappa -> 0),

smooth through t = 0; sigma = +1 or -1 is the relative sign of the centres, a discrete choice. p/L is used instead of L
because it is what the data determine when p and L cannot be told apart (the Gaussian limit p, L -> infinity).
Batch axis first: S problems at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

from ...types import FloatArray
from .curves import CurveParams
from .weights import spacing_weights

P_BOUNDS = (1e-2, 1e2)
RATE_LOW = 1e-5  # smallest p / L, in units of 1 / scale^2; the largest is p's bound over `L_low`
T_BOUND = 8.0  # |t|: D(0) down to e^-64
CENTRE_BOUND = 4.0  # |m+|, |m-| in units of scale
FINEST = 0.25  # sqrt(L) in units of the gap next to 0: the points cannot show a narrower peak
TOUCHING = 1e-9  # nearness of log(p/L) to a border that counts as lying on it


def _phi(z: FloatArray) -> FloatArray:
    """The function (e^z - 1) / z, with value 1 at z = 0."""
    small = z < 1e-8
    return np.where(small, 1.0, np.expm1(z) / np.where(small, 1.0, z))


def _log_phi(z: FloatArray) -> FloatArray:
    """The function log((e^z - 1) / z), stable for z of any size."""
    safe = np.maximum(z, 1e-8)
    return np.where(z < 1e-8, z / 2, safe + np.log(-np.expm1(-safe) / safe))


@dataclass(frozen=True, slots=True)
class SideValues:
    """Centre, L, p and derived quantities for one sign of m, for S problems, each ``[S]``.

    Attributes:
        c: centre: where validity peaks, in units of scale.
        L: squared scale of the decay, in units of scale squared.
        p: tail exponent.
        g: centre over t, with its sign.
        kappa_over_p: t^2 / p, -log D(0) over the exponent.
    """

    c: FloatArray
    L: FloatArray
    p: FloatArray
    g: FloatArray
    kappa_over_p: FloatArray


@dataclass(frozen=True)
class RationalQuadratic:
    """Validity of Eq. 12 on a sorted grid, in unconstrained coordinates within a box.

    Attributes:
        x: ``[n]`` sorted m / scale.
        n_left: points with x < 0; they come first and belong to the minus side.
        two_sided: whether both signs of m were swept; else all points lie on one side.
    """

    x: FloatArray
    n_left: int
    two_sided: bool

    @cached_property
    def L_low(self) -> FloatArray:
        """Smallest allowed L for each sign of m ``[sides]``, plus first, in units of scale squared: from the grid's gap
        next to 0.

        The smallest gap of the grid would not do: where a few points lie close to each other, a peak could hide between
        others. On an even grid it is the same.
        """
        gaps, ends = np.diff(self.x), (self.x[:-1], self.x[1:])
        plus, minus = gaps[ends[1] > 0], gaps[ends[0] < 0][::-1]
        sides = [plus[:1], minus[:1]] if self.two_sided else [minus[:1] if self.n_left else plus[:1]]
        return np.array([(FINEST * float(side[0])) ** 2 for side in sides], dtype=np.float64)

    @cached_property
    def root_weights(self) -> FloatArray:
        """Square roots ``[n]`` of the points' weights."""
        return np.sqrt(spacing_weights(self.x))

    @property
    def n_params(self) -> int:
        """Number of free shape coordinates: t and two for each swept sign of m."""
        return 5 if self.two_sided else 3

    @cached_property
    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """Box on the free coordinates, two arrays ``[q]``."""
        low = [-T_BOUND, *np.log([RATE_LOW, P_BOUNDS[0]] * len(self.L_low))]
        high = [T_BOUND, *np.log([bound for L in self.L_low for bound in (P_BOUNDS[1] / L, P_BOUNDS[1])])]
        return np.array(low), np.array(high)

    def sides(self, theta: Float[FloatArray, "S q"], sigma: Float[FloatArray, " S"]) -> list[SideValues]:
        """Centre, L and p for m >= 0, and for m < 0 when both signs were swept (in that order).

        Args:
            theta: free shape coordinates of S problems.
            sigma: relative sign of the two centres, +1 or -1.
        """
        t, out = theta[:, 0], []
        for k in range(2 if self.two_sided else 1):
            rate, p = np.exp(theta[:, 1 + 2 * k]), np.exp(theta[:, 2 + 2 * k])
            z = np.minimum(t * t / p, 700.0)  # e^700 is finite; such problems are infeasible anyway
            g = np.sqrt(_phi(z) / rate)
            out.append(SideValues(t * g * (sigma if k else 1.0), p / rate, p, g * (sigma if k else 1.0), z))
        return out

    def feasible(self, theta: Float[FloatArray, "S q"], sigma: Float[FloatArray, " S"]) -> Bool[np.ndarray, " S"]:
        """Whether the nonlinear constraints hold: centres within ``CENTRE_BOUND``, no L below ``L_low``.

        Args:
            theta: free shape coordinates of S problems.
            sigma: relative sign of the two centres.
        """
        sides = self.sides(theta, sigma)
        inside = [(np.abs(s.c) <= CENTRE_BOUND) & (low <= s.L) for s, low in zip(sides, self.L_low, strict=True)]
        return np.asarray(np.logical_and.reduce(inside))

    def retract(self, theta: Float[FloatArray, "S q"]) -> tuple[Float[FloatArray, "S q"], Bool[np.ndarray, " S"]]:
        """Retraction onto the feasible set: the point moved inside the nonlinear constraints, and whether one is
        active.

        |t| is shortened until some p/L would do on every side; then each p/L moves to the nearest that does.

        Args:
            theta: free shape coordinates inside the box.
        """
        out = theta.copy()
        most = (self._most_over_p * np.exp(theta[:, 2::2])).min(axis=1)  # largest kappa, with L at ``L_low``
        out[:, 0] *= np.sqrt(np.minimum(1.0, most / np.maximum(np.square(theta[:, 0]), 1e-300)))
        least, largest, _ = self._rates(out)
        rate = np.minimum(np.maximum(theta[:, 1::2], least), largest)
        out[:, 1::2] = rate
        return out, np.asarray(((rate <= least + TOUCHING) | (rate >= largest - TOUCHING)).any(axis=1))

    def walls(self, theta: Float[FloatArray, "S q"]) -> tuple[Float[FloatArray, "S k q"], Bool[np.ndarray, "S k"]]:
        """Outward normals of the nonlinear constraints (|centre| for each sign of m, then L), and which of them are
        active.

        Args:
            theta: free shape coordinates inside the feasible set.
        """
        S, n_sides = len(theta), theta.shape[1] // 2
        rate, (least, largest, z) = theta[:, 1::2], self._rates(theta)
        safe = np.maximum(z, 1e-8)
        grown = np.where(z < 1e-8, 1.0, safe / -np.expm1(-safe))  # d log(e^z - 1) / d log z
        normals = np.zeros((S, 2 * n_sides, theta.shape[1]))
        normals[:, :n_sides, 0] = 2 * grown / np.where(theta[:, :1] == 0, 1.0, theta[:, :1])
        for k in range(n_sides):
            normals[:, k, 1 + 2 * k], normals[:, k, 2 + 2 * k] = -1.0, 1.0 - grown[:, k]
            normals[:, n_sides + k, 1 + 2 * k], normals[:, n_sides + k, 2 + 2 * k] = 1.0, -1.0
        return normals, np.concatenate([rate <= least + TOUCHING, rate >= largest - TOUCHING], axis=1)

    @cached_property
    def _most_over_p(self) -> FloatArray:
        """Largest kappa / p for each sign of m: at a centre of ``CENTRE_BOUND`` with L at ``L_low``."""
        return np.asarray(np.log1p(CENTRE_BOUND**2 / self.L_low), dtype=np.float64)

    def _rates(self, theta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Bounds ``[S sides]`` for each sign of m: least log(p/L) by ``CENTRE_BOUND``, largest by ``L_low``, and kappa
        / p.
        """
        kappa, log_p = np.maximum(np.square(theta[:, :1]), 1e-300), theta[:, 2::2]
        z = kappa * np.exp(-log_p)
        return np.log(kappa / CENTRE_BOUND**2) + _log_phi(z), log_p - np.log(self.L_low), z

    def log_relative(self, theta: Float[FloatArray, "S q"], sigma: Float[FloatArray, " S"]) -> Float[FloatArray, "S n"]:
        """Relative log-validity log G = log D(x) - log D(0); exactly 0 at x = 0.

        Args:
            theta: free shape coordinates of S problems.
            sigma: relative sign of the two centres.
        """
        out = np.empty((len(theta), len(self.x)))
        for cut, side, _ in self._slices(theta, sigma):
            x = self.x[cut]
            w = x * (x - 2 * side.c[:, None]) / (side.L * np.exp(side.kappa_over_p))[:, None]
            out[:, cut] = -side.p[:, None] * np.log1p(w)
        return out

    def log_slope(self, theta: Float[FloatArray, "S q"], sigma: Float[FloatArray, " S"]) -> Float[FloatArray, "S n"]:
        """Derivative d log G / dx.

        Args:
            theta: free shape coordinates of S problems.
            sigma: relative sign of the two centres.
        """
        out = np.empty((len(theta), len(self.x)))
        for cut, side, _ in self._slices(theta, sigma):
            away = self.x[cut] - side.c[:, None]
            out[:, cut] = -2 * side.p[:, None] * away / (side.L[:, None] + np.square(away))
        return out

    def jacobian(self, theta: Float[FloatArray, "S q"], sigma: Float[FloatArray, " S"]) -> Float[FloatArray, "S n q"]:
        """Jacobian of log G with respect to the free coordinates.

        Args:
            theta: free shape coordinates of S problems.
            sigma: relative sign of the two centres.
        """
        t = theta[:, :1]
        out = np.zeros((len(theta), len(self.x), self.n_params))
        for cut, side, k in self._slices(theta, sigma):
            x = self.x[cut]
            c, L, p, g = side.c[:, None], side.L[:, None], side.p[:, None], side.g[:, None]
            e = np.exp(side.kappa_over_p)[:, None]
            u = (x - c) ** 2 / L
            d_log_L = p * u / (1 + u)
            d_c = 2 * p * (x - c) / (L * (1 + u))
            dc_dt = L * e / (p * g)
            d_log_L_total = d_log_L + d_c * c / 2
            d_log_p_at_L = -p * np.log1p(u) - d_c * dc_dt * t / 2
            out[:, cut, 0] = d_c * dc_dt + 2 * t
            out[:, cut, 1 + 2 * k] = -d_log_L_total
            out[:, cut, 2 + 2 * k] = d_log_p_at_L + d_log_L_total
        return out

    def _slices(self, theta: FloatArray, sigma: FloatArray) -> list[tuple[slice, SideValues, int]]:
        sides = self.sides(theta, sigma)
        if not self.two_sided:
            return [(slice(None), sides[0], 0)]
        return [(slice(self.n_left, None), sides[0], 0), (slice(0, self.n_left), sides[1], 1)]


def to_params(
    decay: RationalQuadratic,
    theta: Float[FloatArray, " q"],
    sigma: float,
    linear: Float[FloatArray, " 3"],
    scale: float,
) -> CurveParams:
    """Convert free coordinates and (y0, beta', alpha) of the scaled problem to the parameters of Eq. 12 and 15.

    Args:
        decay: the shape family on its grid.
        theta: free shape coordinates.
        sigma: relative sign of the two centres.
        linear: y0, beta' and alpha, nats.
        scale: max |m|.
    """
    sides = decay.sides(theta[None], np.array([sigma]))
    shapes = [(float(s.c[0]) * scale, float(s.L[0]) * scale**2, float(s.p[0])) for s in sides]
    missing = (float("nan"), float("nan"), float("nan"))
    if decay.two_sided:
        plus, minus = shapes
    else:
        plus, minus = (missing, shapes[0]) if decay.n_left else (shapes[0], missing)
    D0 = float(np.exp(-(theta[0] ** 2)))
    y0, beta, alpha = (float(v) for v in linear)
    return CurveParams(alpha / (scale * D0), beta / D0, y0 - beta, *plus, *minus)


def from_params(
    decay: RationalQuadratic, params: CurveParams, scale: float
) -> tuple[Float[FloatArray, " q"], float, Float[FloatArray, " 3"]]:
    """Convert parameters of Eq. 12 and 15 to free coordinates theta, sigma and (y0, beta', alpha); inverse of
    ``to_params``.

    Args:
        decay: the shape family on its grid.
        params: the nine parameters.
        scale: max |m|.
    """
    plus = (params.m_plus / scale, params.L_plus / scale**2, params.p_plus)
    minus = (params.m_minus / scale, params.L_minus / scale**2, params.p_minus)
    first = plus if decay.two_sided or not decay.n_left else minus
    c, L, p = first
    t = float(np.copysign(np.sqrt(p * np.log1p(c * c / L)), c))
    theta = [t, np.log(p / L), np.log(p)]
    sigma = 1.0
    if decay.two_sided:
        theta += [np.log(minus[2] / minus[1]), np.log(minus[2])]
        sigma = -1.0 if c * minus[0] < 0 else 1.0
    D0 = np.exp(-t * t)
    beta = params.beta * D0
    return np.array(theta), sigma, np.array([params.b + beta, beta, params.alpha * scale * D0])
