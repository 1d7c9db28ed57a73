"""The paper's solver (App. D): SLSQP on all parameters, with the constraint D+(0) = D-(0), bounds and starts.

Variables, in scaled units: alpha, beta, b, then per side the centre, log L and log p. Starts are the best shapes of the
lattice with their least-squares alpha, beta, b. The constraint is written on logarithms, p+ log(1 + m+^2 / L+) =
p- log(1 + m-^2 / L-); what SLSQP leaves of it (about 1e-8) is removed by setting p- from the other five.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize

from ...types import FloatArray, IntArray
from .curves import CurveParams, params_vector, preference_curve, preference_gradient, utility_curve, utility_gradient
from .decay import CENTRE_BOUND, P_BOUNDS, from_params, to_params
from .least_squares import SolverResult
from .problem import Problem
from .projection import project
from .starts import starts

N_STARTS, MAX_ITERATIONS = 12, 500
L_HIGH = 1e7  # in units of scale^2; the lower bound is the grid's
LINEAR_BOUND = 1e6  # |alpha|, |beta|, |b| in units of y's range (alpha: per scale)
_LOGS = np.array([4, 5, 7, 8])  # positions of L and p among the nine


def _decode(z: FloatArray) -> CurveParams:
    values = z.copy()
    values[_LOGS] = np.exp(values[_LOGS])
    return CurveParams(*(float(v) for v in values))


def _encode(params: CurveParams) -> FloatArray:
    z = params_vector(params)
    z[_LOGS] = np.log(z[_LOGS])
    return z


def _log_decay_at_zero(c: float, log_L: float, log_p: float) -> tuple[float, Float[FloatArray, " 3"]]:
    """The value p log(1 + c^2 / L) of -log D at m = 0 and its derivative with respect to (c, log L, log p)."""
    L, p = np.exp(log_L), np.exp(log_p)
    value = p * np.log1p(c * c / L)
    return float(value), np.array([2 * p * c / (L + c * c), -p * c * c / (L + c * c), value])


def _constraint() -> tuple[Callable[[FloatArray], float], Callable[[FloatArray], FloatArray]]:
    """Continuity constraint D+(0) = D-(0) in logarithms, and its gradient."""

    def gap(z: FloatArray) -> float:
        return _log_decay_at_zero(*z[3:6])[0] - _log_decay_at_zero(*z[6:9])[0]

    def gap_gradient(z: FloatArray) -> FloatArray:
        return np.concatenate([np.zeros(3), _log_decay_at_zero(*z[3:6])[1], -_log_decay_at_zero(*z[6:9])[1]])

    return gap, gap_gradient


def _objective(problem: Problem, free: IntArray, z: FloatArray) -> tuple[float, FloatArray]:
    """Mean weighted squared residual of the scaled problem and its gradient over the free variables."""
    params, x, n = _decode(z), problem.decay.x, len(problem.target)
    curve, gradient = (
        (preference_curve, preference_gradient) if problem.with_alpha else (utility_curve, utility_gradient)
    )
    root = problem.decay.root_weights
    residual = root * (curve(x, params) - problem.target)
    jacobian = root[:, None] * gradient(x, params)
    jacobian[:, _LOGS] *= np.exp(z[_LOGS])
    return float(residual @ residual) / n, 2 * (jacobian[:, free].T @ residual) / n


def _bounds(problem: Problem) -> FloatArray:
    lowest = problem.decay.L_low
    sides = [
        [(-CENTRE_BOUND, CENTRE_BOUND), *np.log([[low, L_HIGH], list(P_BOUNDS)])] for low in (lowest[0], lowest[-1])
    ]
    return np.array([(-LINEAR_BOUND, LINEAR_BOUND)] * 3 + sides[0] + sides[1], dtype=np.float64)


def slsqp(problem: Problem) -> SolverResult:
    """Fit one curve by SLSQP as the paper does, from every start to convergence; the lowest cost wins.

    Args:
        problem: the scaled curve.
    """
    decay = problem.decay
    theta, sigma = starts(decay, problem.target, with_alpha=problem.with_alpha, count=N_STARTS)
    rows = np.broadcast_to(problem.target, (len(theta), len(problem.target)))
    root = decay.root_weights
    linear = project(decay.log_relative(theta, sigma), decay.x, rows * root, problem.with_alpha, root).linear
    outcomes = []
    for k in range(len(theta)):
        start = _encode(to_params(decay, theta[k], float(sigma[k]), linear[k], 1.0))
        outcomes.append(_run(problem, start))
    costs = np.array([cost for cost, _, _ in outcomes])
    best = int(costs.argmin()) if np.isfinite(costs).any() else 0
    cost, z, message = outcomes[best]
    ok = bool(np.isfinite(cost))
    params = _in_users_units(problem, _close_gap(problem, _decode(z)))
    agree = int((costs <= cost * (1 + 1e-4) + 1e-20).sum())
    return SolverResult(params, ok, "converged" if ok else message, len(theta), agree)


def _run(problem: Problem, start: FloatArray) -> tuple[float, FloatArray, str]:
    """Run SLSQP from one start: cost (infinite unless it reports success), variables and message."""
    free = np.flatnonzero(np.isfinite(start)).astype(np.int64)
    if not problem.with_alpha:
        free = free[free != 0]
    bounds = _bounds(problem)[free]

    def full(z: FloatArray) -> FloatArray:
        out = start.copy()
        out[free] = z
        return out

    gap, gap_gradient = _constraint()
    equality = {"type": "eq", "fun": lambda z: gap(full(z)), "jac": lambda z: gap_gradient(full(z))[free]}
    result = cast(Any, minimize)(
        lambda z: _objective(problem, free, full(z)),
        np.clip(start[free], bounds[:, 0], bounds[:, 1]),
        jac=True,
        method="SLSQP",
        bounds=bounds,
        constraints=[equality] if problem.decay.two_sided else [],
        options={"maxiter": MAX_ITERATIONS, "ftol": 1e-14},
    )
    usable = bool(result.success) and bool(np.isfinite(result.fun))
    return (float(result.fun) if usable else float("inf")), full(result.x), str(result.message)


def _close_gap(problem: Problem, params: CurveParams) -> CurveParams:
    """Set p- so that D+(0) = D-(0) to rounding; where m- is 0, m+ must be 0 too."""
    if not problem.decay.two_sided:
        return params
    kappa = params.p_plus * np.log1p(params.m_plus**2 / params.L_plus)
    left = np.log1p(params.m_minus**2 / params.L_minus)
    if min(kappa, params.p_minus * left) < 1e-12:
        return replace(params, m_plus=0.0, m_minus=0.0)
    return replace(params, p_minus=float(kappa / left))


def _in_users_units(problem: Problem, params: CurveParams) -> CurveParams:
    theta, sigma, linear = from_params(problem.decay, params, 1.0)
    linear = linear * problem.span
    linear[0] += problem.offset
    return to_params(problem.decay, theta, sigma, linear, problem.scale)
