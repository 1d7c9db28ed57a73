"""How far the fitted curves would move with other pairs: bootstrap, sandwich, or residuals without pairs.

bootstrap  pairs are drawn anew within each concept, preference and utility from the same draw, and both curves
           re-fitted from every solution of the search; intervals are percentiles at levels widened for small
           samples (Hesterberg 2015):
           alpha/2 -> Phi( -sqrt(n / (n - C)) t_{n-C, 1-alpha/2} ), n pairs in C concepts.
sandwich   cov(z) = (J'J)^-1 J' Cov(mean curve) J (J'J)^-1, Cov from the scatter between pairs; intervals: estimate +-
           t_{n-C} times the delta-method standard error.
residual   cov(z) = s^2 (J'J)^-1 with s^2 = SSE / (points - parameters): assumes independent errors of the points.
           For bare curves, and named in the result.

Numbers that are not smooth in z (a recommended m) take percentiles of normal draws from cov(z), `Spread.draws`.

Concepts are taken as given: the intervals are about other pairs of the same concepts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy import stats
from scipy.linalg import block_diag

from easyedit_split.analysis.ensemble import Ensemble, ensemble
from easyedit_split.analysis.fit import CurveFit
from easyedit_split.analysis.identify import Coordinates
from easyedit_split.analysis.least_squares import search
from easyedit_split.analysis.problem import Kind, curve_problem
from easyedit_split.analysis.table import PairTable, SweepCurve
from easyedit_split.analysis.varpro import RUNNING, solve
from easyedit_split.types import ConfigError, DataError, FloatArray, IntArray

Method = Literal["bootstrap", "sandwich", "residual"]
METHODS = ("bootstrap", "sandwich", "residual")
PSEUDO_INVERSE_TOL = 1e-10
DELTA_STEP = 1e-3  # largest move of a free coordinate when a derivative is taken
REFIT_ITERATIONS = 60
N_DRAWS, SEED = 1000, 0


@dataclass(frozen=True)
class Spread:
    """Ensembles of both curves that move together, and how to turn derived numbers into intervals.

    Attributes:
        method: which of the three; level: e.g. 0.95; n_pairs: pairs behind it (0 for residual).
        preference, utility: ensembles with one row per draw (bootstrap) or per derivative step (the others: rows
            first plus, then minus); None for a curve that was not given.
        quantile: t quantile (sandwich, residual); tail: lower percentile level (bootstrap).
        step: size of a derivative step in standard deviations, ``[directions]``; empty for bootstrap.
        n_failed: bootstrap draws whose fit did not converge within the iterations (kept as they stand).
        draws: the same uncertainty as random draws; None where the ensembles already are draws.
    """

    method: Method
    level: float
    n_pairs: int
    preference: Ensemble | None
    utility: Ensemble | None
    quantile: float
    tail: float
    step: FloatArray
    n_failed: int = 0
    draws: Spread | None = None

    def interval(
        self, draws: Float[FloatArray, B * shape], estimate: Float[FloatArray, "*shape"]
    ) -> tuple[Float[FloatArray, "*shape"], Float[FloatArray, "*shape"]]:
        """Lower and upper ends for a number derived from each row; `estimate` is its value at the fit."""
        if self.draws is None:
            low, high = np.quantile(draws, [self.tail, 1 - self.tail], axis=0)
            return np.asarray(low), np.asarray(high)
        half = len(draws) // 2
        step = self.step.reshape(-1, *([1] * (draws.ndim - 1)))
        sd = np.sqrt(np.square((draws[:half] - draws[half:]) / (2 * step)).sum(axis=0))
        return estimate - self.quantile * sd, estimate + self.quantile * sd


def spread(
    curve: SweepCurve,
    preference: CurveFit | None,
    utility: CurveFit | None,
    *,
    method: Method | None = None,
    level: float = 0.95,
    replicates: int = 400,
    seed: int = 0,
) -> Spread:
    """How the fitted curves vary over pairs.

    Args:
        curve: the data that were fitted.
        preference, utility: the fits; either may be None.
        method: None chooses bootstrap where there are pairs and residual where there are none.
        level: coverage asked for, between 0 and 1.
        replicates: bootstrap draws.
        seed: of the draws.

    Raises:
        DataError: bootstrap or sandwich without pairs, or with a concept of a single pair.
        ConfigError: unknown method, level outside (0, 1), fewer than 100 replicates.
    """
    method = method or ("bootstrap" if curve.preference.has_pairs else "residual")
    if method not in METHODS:
        raise ConfigError(f"method {method!r} is unknown; use one of {', '.join(METHODS)}.")
    if not 0 < level < 1:
        raise ConfigError(f"level is {level}; it must lie between 0 and 1, e.g. 0.95.")
    if method == "bootstrap" and replicates < 100:
        raise ConfigError(f"{replicates} bootstrap replicates are too few for an interval; use at least 100.")
    inputs = _inputs(curve, preference, utility)
    if method == "residual":
        return _residual(inputs, level)
    for given in inputs:
        _check_pairs(given.table, curve.key.label(), method)
    if method == "sandwich":
        return _sandwich(inputs, level)
    return _bootstrap(inputs, level, replicates, seed)


@dataclass(frozen=True)
class _Input:
    """One fitted curve, its pairs, and which rows of the preference table they are."""

    fit: CurveFit
    table: PairTable
    rows: IntArray


def _inputs(curve: SweepCurve, preference: CurveFit | None, utility: CurveFit | None) -> list[_Input]:
    everyone = np.arange(len(curve.preference.values))
    out = [_Input(preference, curve.preference, everyone)] if preference is not None else []
    if utility is not None:
        out.append(_Input(utility, curve.table("utility"), curve.kept))
    if not out:
        raise ConfigError("spread needs at least one fitted curve.")
    return out


def _check_pairs(table: PairTable, where: str, method: str) -> None:
    if not table.has_pairs:
        raise DataError(
            f"{where}: {method} needs one row per pair (column 'pair'); a bare curve can only use 'residual'."
        )
    if np.unique(table.concepts, return_counts=True)[1].min() < 2:
        raise DataError(f"{where}: {method} needs at least two pairs in every concept; merge or leave out the others.")


def _degrees(inputs: list[_Input]) -> tuple[int, int]:
    """Pairs, and pairs less concepts, of the smaller table."""
    table = min((given.table for given in inputs), key=lambda table: len(table.values))
    n = len(table.values)
    return n, n - len(np.unique(table.concepts))


def _bootstrap(inputs: list[_Input], level: float, replicates: int, seed: int) -> Spread:
    n, degrees = _degrees(inputs)
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
    )


def _refit(given: _Input, rows: Float[FloatArray, "B n"]) -> tuple[Ensemble, int]:
    """Best fit of each row from every mode of the original curve, and how many were still moving at the end."""
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
    moving = int((found.status[best] == RUNNING).sum())
    return Ensemble(coords, found.theta[best], found.sigma[best], found.linear[best]), moving


def _modes(given: _Input) -> tuple[Float[FloatArray, "k q"], Float[FloatArray, " k"]]:
    """The estimate, and the best solution of each other sign pattern of m+ and m-: other pairs may prefer one."""
    coords = given.fit.coordinates
    found, _ = search(curve_problem(given.fit.m, given.fit.y, given.fit.kind))
    theta, sigma = [coords.z[coords.n_linear :]], [coords.sigma]
    seen = {(np.sign(theta[0][0]), coords.sigma)}
    for row in np.argsort(found.cost):
        pattern = (np.sign(found.theta[row, 0]), float(found.sigma[row]))
        if pattern not in seen:
            seen.add(pattern)
            theta.append(found.theta[row])
            sigma.append(pattern[1])
    return np.array(theta), np.array(sigma)


def _draws(inputs: list[_Input], replicates: int, rng: np.random.Generator) -> Float[FloatArray, "B pairs"]:
    """How often each pair is drawn, within its concept; every concept keeps a pair of every curve."""
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


def _resampled_means(given: _Input, draws: Float[FloatArray, "B pairs"]) -> Float[FloatArray, "B n"]:
    weights = draws[:, given.rows].copy()
    concepts = np.unique(given.table.concepts)
    for concept in concepts:
        members = given.table.concepts == concept
        weights[:, members] /= len(concepts) * weights[:, members].sum(axis=1, keepdims=True)
    return weights @ given.table.values


def _sandwich(inputs: list[_Input], level: float) -> Spread:
    n, degrees = _degrees(inputs)
    size = 1 + max(int(given.rows.max()) for given in inputs)
    influences = []
    for given in inputs:
        influence = np.zeros((size, len(given.fit.coordinates.z)))
        influence[given.rows] = _deviations(given.table) @ _pseudo_inverse(given.fit.coordinates.jacobian()).T
        influences.append(influence)
    _, singular, V = np.linalg.svd(np.concatenate(influences, axis=1), full_matrices=False)
    quantile = float(stats.t.ppf((1 + level) / 2, degrees))
    return _delta_spread("sandwich", level, n, inputs, singular[:, None] * V, quantile)


def _deviations(table: PairTable) -> Float[FloatArray, "pairs n"]:
    """Rows whose outer products sum to the covariance of the mean curve."""
    out = np.empty_like(table.values)
    for concept in np.unique(table.concepts):
        members = table.concepts == concept
        size = int(members.sum())
        centred = table.values[members] - table.values[members].mean(axis=0)
        out[members] = centred * np.sqrt(size / (size - 1))
    return out * table.weights[:, None]


def _residual(inputs: list[_Input], level: float) -> Spread:
    blocks, freedom = [], []
    for given in inputs:
        fit = given.fit
        degrees = len(fit.m) - fit.n_params
        if degrees < 1:
            raise DataError(
                f"{len(fit.m)} points and {fit.n_params} parameters leave no residual to judge the {fit.kind} curve "
                "by; sweep more values of m."
            )
        scatter = np.sqrt(len(fit.m) / degrees) * fit.rmse
        blocks.append(scatter * _pseudo_inverse(fit.coordinates.jacobian()).T)
        freedom.append(degrees)
    directions = block_diag(*blocks)
    return _delta_spread("residual", level, 0, inputs, directions, float(stats.t.ppf((1 + level) / 2, min(freedom))))


def _pseudo_inverse(J: Float[FloatArray, "n k"]) -> Float[FloatArray, "k n"]:
    """Pseudo-inverse with columns brought to one size first."""
    size = np.maximum(np.sqrt(np.square(J).sum(axis=0)), 1e-300)
    return np.asarray(np.linalg.pinv(J / size, rcond=PSEUDO_INVERSE_TOL) / size[:, None], dtype=np.float64)


def _delta_spread(
    method: Method, level: float, n: int, inputs: list[_Input], directions: Float[FloatArray, "d k"], quantile: float
) -> Spread:
    """Ensembles that step by a little along each direction, one standard deviation long, and back."""
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
    """The curves moved by so much along each direction, kept inside the search's box."""
    out: dict[Kind, Ensemble] = {}
    for kind, coords, block in blocks:
        z = coords.z + amounts @ block
        low, high = coords.decay.bounds
        shape = z[:, coords.n_linear :]
        slack = 10 * DELTA_STEP  # derivatives are taken across a bound
        z[:, coords.n_linear :] = np.clip(shape, low - slack, high + slack)
        out[kind] = ensemble(coords, z)
    return out
