"""Bootstrap over pairs, stratified by concept: pairs are resampled and both curves are refitted.

Preference and utility use the same draw. Each draw is fitted from a solution of every sign pattern of m+ and m-,
because with other pairs another one may fit best; one that still moves at the end is counted. Percentile levels are
widened for small samples (Hesterberg 2015): alpha/2 -> Phi( -sqrt(n / (n - C)) t_{n-C, 1-alpha/2} ), n pairs in C
concepts.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy import stats

from ...sweep_curves import Kind
from ...types import FloatArray
from ..fit.least_squares import search
from ..fit.problem import curve_problem
from ..fit.varpro import RUNNING, solve
from .ensemble import Ensemble
from .spread import FittedPairs, Spread, degrees_of_freedom

REFIT_ITERATIONS, LAST_ITERATIONS, MODE_ITERATIONS = 60, 400, 400  # LAST: of refits that still move then
SIGN_PATTERNS = ((1.0, 1.0), (-1.0, 1.0), (1.0, -1.0), (-1.0, -1.0))  # of t (so of m+), and of m+ times m-
T_TURNED = 0.1  # least |t| of a start moved to another pattern


def bootstrap(inputs: list[FittedPairs], level: float, replicates: int, seed: int) -> Spread:
    """Pairs bootstrap: refit both curves to resampled pairs.

    Args:
        inputs: the fitted curves with their pairs.
        level: coverage of the confidence intervals, in (0, 1).
        replicates: bootstrap samples.
        seed: of the resampling.
    """
    n, degrees = degrees_of_freedom(inputs)
    draws = _draws(inputs, replicates, np.random.default_rng(seed))
    failed = 0
    ensembles: dict[Kind, Ensemble] = {}
    for given in inputs:
        ensembles[given.fit.kind], n_moving = _refit(given, _resampled_means(given, draws))
        failed += n_moving
    widened = -np.sqrt(n / degrees) * stats.t.ppf((1 + level) / 2, degrees)
    return Spread(
        "bootstrap",
        level,
        n,
        ensembles.get("preference"),
        ensembles.get("utility"),
        quantile=float("nan"),
        tail=float(stats.norm.cdf(widened)),
        step=np.empty(0),
        n_failed=failed,
        n_refits=replicates * len(inputs),
    )


def _refit(given: FittedPairs, rows: Float[FloatArray, "B n"]) -> tuple[Ensemble, int]:
    """Best refit of each bootstrap sample from every mode of the original fit, and how many did not converge."""
    coords = given.fit.coordinates
    theta, sigma = _modes(given)
    k, count = len(theta), len(rows)
    found = solve(
        coords.decay,
        np.repeat(rows, k, axis=0),
        np.tile(theta, (count, 1)),
        np.tile(sigma, count),
        with_alpha=coords.with_alpha,
        max_iterations=REFIT_ITERATIONS,
    )
    best = np.arange(count) * k + found.cost.reshape(count, k).argmin(axis=1)
    found = found.take(best)
    moving = np.flatnonzero(found.status == RUNNING)
    if len(moving):
        further = solve(
            coords.decay,
            rows[moving],
            found.theta[moving],
            found.sigma[moving],
            with_alpha=coords.with_alpha,
            max_iterations=LAST_ITERATIONS,
        )
        for row, place in enumerate(moving):
            found = found.replaced(int(place), further.take(np.array([row])))
    return Ensemble(coords, found.theta, found.sigma, found.linear), int((found.status == RUNNING).sum())


def _modes(given: FittedPairs) -> tuple[Float[FloatArray, "k q"], Float[FloatArray, " k"]]:
    """The estimate, and the best solution of each other sign pattern of m+ and m-, as starts for refits.

    The finalists of the search often share one pattern, and a refit rarely crosses t = 0 by itself. So every finalist
    is moved to all four patterns and fitted once more to the original curve.
    """
    coords = given.fit.coordinates
    problem = curve_problem(given.fit.m, given.fit.y, given.fit.kind)
    found, _ = search(problem)
    finalists = np.concatenate([found.theta, coords.z[None, coords.n_linear :]])
    patterns = np.array(SIGN_PATTERNS if coords.decay.two_sided else SIGN_PATTERNS[:2])
    turned = np.tile(finalists, (len(patterns), 1))
    sign, sigma = (np.repeat(column, len(finalists)) for column in patterns.T)
    turned[:, 0] = sign * np.maximum(np.abs(turned[:, 0]), T_TURNED)
    rows = np.broadcast_to(problem.target, (len(turned), len(problem.target)))
    moved = solve(coords.decay, rows, turned, sigma, with_alpha=coords.with_alpha, max_iterations=MODE_ITERATIONS)
    modes = {(float(np.sign(coords.z[coords.n_linear])), coords.sigma): coords.z[coords.n_linear :]}
    for row in np.argsort(moved.cost):
        modes.setdefault((float(np.sign(moved.theta[row, 0])), float(moved.sigma[row])), moved.theta[row])
    return np.array(list(modes.values())), np.array([pattern[1] for pattern in modes])


def _draws(inputs: list[FittedPairs], replicates: int, rng: np.random.Generator) -> Float[FloatArray, "B pairs"]:
    """Bootstrap counts of each pair, within its concept; every concept keeps at least one pair of every curve."""
    table = inputs[0].table if len(inputs[0].table.values) >= len(inputs[-1].table.values) else inputs[-1].table
    size = 1 + max(int(given.rows.max()) for given in inputs)
    counts = np.zeros((replicates, size))
    rows = next(given.rows for given in inputs if given.table is table)
    todo = np.arange(replicates)
    while len(todo):
        for concept in np.unique(table.concepts):
            members = rows[table.concepts == concept]
            share = np.full(len(members), 1 / len(members))
            counts[np.ix_(todo, members)] = rng.multinomial(len(members), share, size=len(todo))
        empty = np.zeros(len(todo), dtype=bool)
        for given in inputs:
            for concept in np.unique(given.table.concepts):
                empty |= counts[np.ix_(todo, given.rows[given.table.concepts == concept])].sum(axis=1) == 0
        todo = todo[empty]
    return counts


def _resampled_means(given: FittedPairs, draws: Float[FloatArray, "B pairs"]) -> Float[FloatArray, "B n"]:
    weights = draws[:, given.rows].copy()
    concepts = np.unique(given.table.concepts)
    for concept in concepts:
        members = given.table.concepts == concept
        weights[:, members] /= len(concepts) * weights[:, members].sum(axis=1, keepdims=True)
    return weights @ given.table.values
