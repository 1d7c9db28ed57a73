"""Covariance of the fitted parameters: cluster-robust sandwich over pairs or, without pairs, from residuals.

sandwich   cov(z) = A Cov(mean curve) A', Cov from the scatter between pairs within concepts
residual   cov(z) = s^2 A A', s^2 = SSE / (points - parameters): assumes independent errors of the points

A = (J'WJ)^-1 J'W is the linearised fit, W the points' weights, z are the free coordinates. Intervals are estimate +- t
times the delta-method standard error; numbers that are not smooth in z (a recommended m) take percentiles of normal
draws from cov(z), ``Spread.draws``; a draw beyond the search's box is moved onto it, so where a parameter is hardly
known many draws share its bound. Both are local: they do not see other solutions of the fit, which the bootstrap does.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy import stats
from scipy.linalg import block_diag

from ...log_odds import mean_deviations
from ...sweep_curves import Kind
from ...types import DataError, FloatArray
from ..fit.identify import Coordinates, estimator
from .ensemble import Ensemble, ensemble
from .spread import FittedPairs, Method, Spread, degrees_of_freedom

DELTA_STEP = 1e-3  # largest move of a free coordinate when a derivative is taken
N_DRAWS, SEED = 1000, 0


def sandwich(inputs: list[FittedPairs], level: float) -> Spread:
    """Cluster-robust sandwich covariance of the parameters, from the variation between pairs.

    Args:
        inputs: the fitted curves with their pairs.
        level: coverage of the confidence intervals, in (0, 1).
    """
    n, degrees = degrees_of_freedom(inputs)
    size = 1 + max(int(given.rows.max()) for given in inputs)
    influences = []
    for given in inputs:
        influence = np.zeros((size, len(given.fit.coordinates.z)))
        influence[given.rows] = (
            mean_deviations(given.table.values, given.table.concepts) @ estimator(given.fit.coordinates).T
        )
        influences.append(influence)
    _, singular, V = np.linalg.svd(np.concatenate(influences, axis=1), full_matrices=False)
    quantile = float(stats.t.ppf((1 + level) / 2, degrees))
    return _delta_spread("sandwich", level, n, inputs, singular[:, None] * V, quantile)


def residual(inputs: list[FittedPairs], level: float) -> Spread:
    """Covariance of the parameters from the residuals of the points, for curves without pairs.

    Args:
        inputs: the fitted curves.
        level: coverage of the confidence intervals, in (0, 1).
    """
    blocks, freedom = [], []
    for given in inputs:
        fit = given.fit
        degrees = len(fit.m) - fit.n_params
        if degrees < 1:
            raise DataError(
                f"{len(fit.m)} points and {fit.n_params} parameters leave no residual degrees of freedom for the "
                f"{fit.kind} curve; sweep more values of m."
            )
        scatter = np.sqrt(len(fit.m) / degrees) * fit.rmse
        blocks.append(scatter * estimator(fit.coordinates).T)
        freedom.append(degrees)
    directions = block_diag(*blocks)
    return _delta_spread("residual", level, 0, inputs, directions, float(stats.t.ppf((1 + level) / 2, min(freedom))))


def _delta_spread(
    method: Method,
    level: float,
    n: int,
    inputs: list[FittedPairs],
    directions: Float[FloatArray, "d k"],
    quantile: float,
) -> Spread:
    """Ensembles for numerical delta-method derivatives: one small step along each direction, and back."""
    directions = directions[np.abs(directions).max(axis=1) > 0]
    largest = np.zeros(len(directions))
    start = 0
    blocks: list[tuple[Kind, Coordinates, FloatArray]] = []
    for given in inputs:
        coords = given.fit.coordinates
        block = directions[:, start : start + len(coords.z)]
        start += len(coords.z)
        largest = np.maximum(largest, np.abs(block[:, coords.n_linear :]).max(axis=1))
        blocks.append((given.fit.kind, coords, block))
    step = np.minimum(1.0, DELTA_STEP / np.maximum(largest, 1e-300))
    steps = np.concatenate([np.diag(step), -np.diag(step)])
    random = np.random.default_rng(SEED).normal(size=(N_DRAWS, len(step)))
    random *= quantile / stats.norm.ppf((1 + level) / 2)
    normal = _versions(blocks, random)
    tail = (1 - level) / 2
    draws = Spread(method, level, n, normal.get("preference"), normal.get("utility"), quantile, tail, np.empty(0))
    around = _versions(blocks, steps)
    nan = float("nan")
    return Spread(method, level, n, around.get("preference"), around.get("utility"), quantile, nan, step, draws=draws)


def _versions(
    blocks: list[tuple[Kind, Coordinates, FloatArray]], amounts: Float[FloatArray, "B d"]
) -> dict[Kind, Ensemble]:
    """Curves displaced by the given steps along each direction, kept inside the search's box."""
    out: dict[Kind, Ensemble] = {}
    for kind, coords, block in blocks:
        z = coords.z + amounts @ block
        low, high = coords.decay.bounds
        shape = z[:, coords.n_linear :]
        slack = 10 * DELTA_STEP  # derivatives are taken across a bound
        z[:, coords.n_linear :] = np.clip(shape, low - slack, high + slack)
        out[kind] = ensemble(coords, z)
    return out
