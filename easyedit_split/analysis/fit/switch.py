"""Alternative curve for binary latents: the mean of bounded preferences that each switch at an m of their own.

    pref(m) = b + D(m) E_beta[ s(alpha m + beta) ],   s(u) = log( (e^(u+A) + 1) / (e^u + e^A) ),   beta ~ N(beta0, tau)

A latent that is on with log-odds u makes the positive answer likelier by A nats, off by as many less likely; what is
seen is the mixture's log-odds s, flat at -A and A and steep between. Pairs differ in where they stand (beta), so their
mean starts flat where few of them are near turning: what one straight line times a decay cannot show. D is the one
smooth decay of ``one_decay``. The mean over beta is a Gauss-Hermite sum of 9 points. Preference only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import least_squares

from ...types import FloatArray
from .problem import FitError, curve_problem
from .weights import spacing_weights

NODES, SHARES = np.polynomial.hermite_e.hermegauss(9)
SHARES = SHARES / SHARES.sum()
STARTS = ((1.0, 0.0), (6.0, -3.0))  # alpha in 1 / max |m|, beta0
MOST = 120  # evaluations of each start


@dataclass(frozen=True)
class Switch:
    """Fitted mean of bounded preferences that switch at different m.

    Attributes:
        z: ``[8]`` alpha, beta0, log tau, log A, b, centre, log L, log p, in scaled m and nats.
        scale: max |m|.
        n_params: free parameters.
    """

    z: FloatArray
    scale: float
    n_params: int = 8

    def __call__(self, m: Float[FloatArray, " q"]) -> Float[FloatArray, " q"]:
        """Value of the curve at m, nats.

        Args:
            m: steering factors, in any order.
        """
        return _curve(self.z, np.asarray(m) / self.scale)


def _curve(z: FloatArray, x: FloatArray) -> FloatArray:
    alpha, beta, log_tau, log_A, b, c, log_L, log_p = z
    u = alpha * x[:, None] + beta + np.exp(log_tau) * NODES
    A = np.exp(log_A)
    s = np.logaddexp(u + A, 0.0) - np.logaddexp(u, A)
    D = np.exp(-np.exp(log_p) * np.log1p((x - c) ** 2 / np.exp(log_L)))
    return np.asarray(b + D * (s @ SHARES), dtype=np.float64)


def fit_switch(m: Float[FloatArray, " n"], y: Float[FloatArray, " n"]) -> Switch:
    """Fit the mean of bounded preferences that switch at different m.

    Args:
        m: steering factors, any order, each once.
        y: preference log-odds at m, nats.

    Raises:
        DataError: the points cannot be fitted.
        FitError: no start led anywhere.
    """
    problem = curve_problem(m, y, "preference")
    x, root = problem.m / problem.scale, np.sqrt(spacing_weights(problem.m))
    low, high = problem.y.min(), problem.y.max()

    def off(z: FloatArray) -> FloatArray:
        return np.asarray(root * (_curve(z, x) - problem.y), dtype=np.float64)

    best = None
    for sign in (1.0, -1.0):
        for alpha, beta in STARTS:
            start = [sign * alpha, beta, 0.0, np.log((high - low) / 2), (high + low) / 2, 0.0, 0.0, -3.0]
            found = least_squares(
                off,
                start,
                bounds=(
                    [-1e3, -1e3, -5, -5, -np.inf, -4, -12, -7],
                    [1e3, 1e3, 5, np.log(2 * (high - low) + 1) + 1, np.inf, 4, 12, 5],
                ),
                max_nfev=MOST,
            )
            if np.isfinite(found.cost) and (best is None or found.cost < best.cost):
                best = found
    if best is None:
        raise FitError(f"the preference curve of a switch did not converge over {len(m)} points.")
    return Switch(np.asarray(best.x, dtype=np.float64), problem.scale)
