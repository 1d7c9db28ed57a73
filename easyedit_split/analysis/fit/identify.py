"""Practical identifiability: which parameters the points of a curve determine.

A parameter is called unidentified if moving it by a stated amount, while every other parameter is re-fitted to make up
for it, changes the curve by less than the noise:

    change_j = d_j / sqrt( T_j (J'J)^-1 T_j' )  <  sqrt(n) max(RMSE, 0.1 % of the curve's range)

J is the derivative of the curve in free coordinates, T_j that of parameter j. The amounts d_j: a factor of e for L and
p; a tenth of max |m| for m+ and m-; half the curve's range for beta and b; half the range over max |m| for alpha. (RMSE
of an excellent fit is not evidence of that much data, hence the floor.) Trade-offs name, for each direction of
the free coordinates that changes the curve by less than the noise, the parameters that move along it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ...types import FloatArray
from .curves import PARAM_NAMES, CurveParams, params_vector
from .decay import CENTRE_BOUND, P_BOUNDS, T_BOUND, RationalQuadratic, from_params, to_params

NOISE_FLOOR = 1e-3
PSEUDO_INVERSE_TOL = 1e-10
BOUND_MARGIN = 1e-3


@dataclass(frozen=True)
class Coordinates:
    """A fitted curve in free coordinates z = (y0, beta'[, alpha], theta) of the problem scaled in m only.

    Attributes:
        decay: the shape family on its grid.
        scale: max |m|.
        sigma: relative sign of the centres.
        with_alpha: Eq. 15 (True) or Eq. 17.
        z: ``[k]`` the point.
    """

    decay: RationalQuadratic
    scale: float
    sigma: float
    with_alpha: bool
    z: FloatArray

    @property
    def n_linear(self) -> int:
        """Number of linear parameters: 3 with alpha, 2 without."""
        return 3 if self.with_alpha else 2

    def params(self, z: Float[FloatArray, " k"]) -> CurveParams:
        """The nine parameters of Eq. 12 and 15 at z, in the user's units.

        Args:
            z: free coordinates.
        """
        linear = np.zeros(3)
        linear[: self.n_linear] = z[: self.n_linear]
        return to_params(self.decay, z[self.n_linear :], self.sigma, linear, self.scale)

    def jacobian(self) -> Float[FloatArray, "n k"]:
        """Derivative of the curve at the grid's points with respect to z."""
        theta, sigma = self.z[None, self.n_linear :], np.array([self.sigma])
        x = self.decay.x
        log_G = self.decay.log_relative(theta, sigma)[0]
        G = np.exp(log_G)
        alpha = self.z[2] if self.with_alpha else 0.0
        columns = [np.ones_like(x), np.expm1(log_G), x * G][: self.n_linear]
        shape = ((alpha * x + self.z[1]) * G)[:, None] * self.decay.jacobian(theta, sigma)[0]
        return np.concatenate([np.stack(columns, axis=1), shape], axis=1)


def estimator(coords: Coordinates) -> Float[FloatArray, "k n"]:
    """Linear map from changes of the points to changes of z in the weighted least-squares fit.

    Args:
        coords: the fit.
    """
    root = coords.decay.root_weights
    return pseudo_inverse(coords.jacobian() * root[:, None]) * root


def pseudo_inverse(J: Float[FloatArray, "n k"]) -> Float[FloatArray, "k n"]:
    """Moore-Penrose pseudo-inverse, with columns scaled to one size first.

    Args:
        J: any matrix.
    """
    size = np.maximum(np.sqrt(np.square(J).sum(axis=0)), 1e-300)
    return np.asarray(np.linalg.pinv(J / size, rcond=PSEUDO_INVERSE_TOL) / size[:, None], dtype=np.float64)


def coordinates(decay: RationalQuadratic, params: CurveParams, scale: float, with_alpha: bool) -> Coordinates:
    """Free coordinates of fitted parameters.

    Args:
        decay: the shape family on its grid.
        params: the nine parameters.
        scale: max |m|.
        with_alpha: Eq. 15 (True) or Eq. 17.
    """
    theta, sigma, linear = from_params(decay, params, scale)
    z = np.concatenate([linear[: 3 if with_alpha else 2], theta])
    return Coordinates(decay, scale, sigma, with_alpha, z)


def tangent(coords: Coordinates) -> Float[FloatArray, "9 k"]:
    """Jacobian of the parameters (L and p by their logarithms) with respect to z, by central differences.

    Args:
        coords: the fitted point.
    """

    def logged(z: FloatArray) -> FloatArray:
        values = params_vector(coords.params(z))
        values[[4, 5, 7, 8]] = np.log(values[[4, 5, 7, 8]])
        return values

    out = np.zeros((len(PARAM_NAMES), len(coords.z)))
    for k, value in enumerate(coords.z):
        h = np.zeros(len(coords.z))
        h[k] = 1e-5 * max(1.0, abs(value))
        out[:, k] = (logged(coords.z + h) - logged(coords.z - h)) / (2 * h[k])
    return out


def unidentified(coords: Coordinates, span: float, rmse: float) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Practical identifiability: parameters that the points do not determine, and groups that trade off.

    Args:
        coords: the fitted point.
        span: range of the curve, nats.
        rmse: root mean squared error of the fit, nats.
    """
    J, T = coords.jacobian() * coords.decay.root_weights[:, None], tangent(coords)
    names = [k for k in range(len(PARAM_NAMES)) if np.isfinite(T[k]).all() and (k or coords.with_alpha)]
    amount = np.array([span / (2 * coords.scale), span / 2, span / 2, *[coords.scale / 10, 1.0, 1.0] * 2])
    noise = np.sqrt(len(J)) * max(rmse, NOISE_FLOOR * span)
    _, singular, V = np.linalg.svd(J, full_matrices=False)
    singular = np.maximum(singular, 1e-14 * singular[0])
    moves = (T[names] / amount[names, None]) @ V.T * (noise / singular)  # in amounts, per direction at noise level
    weak = [PARAM_NAMES[j] for j, row in zip(names, moves, strict=True) if np.sqrt(np.square(row).sum()) > 1.0]
    groups = []
    for column in moves.T:
        size = np.abs(column)
        if size.max() > 1.0:
            groups.append(tuple(PARAM_NAMES[j] for j, s in zip(names, size, strict=True) if s > 0.25 * size.max()))
    return tuple(weak), tuple(dict.fromkeys(groups))


def at_bound(coords: Coordinates) -> tuple[str, ...]:
    """Names of the shape parameters that ended on a bound of the search, so that they are no estimates.

    Args:
        coords: the fitted point.
    """
    theta, names = coords.z[coords.n_linear :], []
    two = coords.decay.two_sided
    labels = ("plus", "minus") if two else (("minus",) if coords.decay.n_left else ("plus",))
    if abs(theta[0]) >= T_BOUND - BOUND_MARGIN:
        names.append("D(0)")
    centres = coords.decay.sides(theta[None], np.array([coords.sigma]))
    for k, label in enumerate(labels):
        rate, p = theta[1 + 2 * k], theta[2 + 2 * k]
        if rate <= coords.decay.bounds[0][1] + BOUND_MARGIN:
            names.append(f"p_{label}/L_{label}")
        if min(abs(p - np.log(bound)) for bound in P_BOUNDS) <= BOUND_MARGIN:
            names.append(f"p_{label}")
        if float(centres[k].L[0]) <= coords.decay.L_low[k] * (1 + BOUND_MARGIN):
            names.append(f"L_{label}")
        if abs(float(centres[k].c[0])) >= CENTRE_BOUND * (1 - BOUND_MARGIN):
            names.append(f"m_{label}")
    return tuple(names)
