"""The default solver: variable projection with multi-start search, in stages.

``N_STARTS`` lattice shapes move a few steps, all at once; the best of them move on, and the best of those go to
convergence. The lowest cost wins; if that one is still moving, it alone goes on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...types import FloatArray
from .curves import CurveParams
from .decay import to_params
from .problem import Problem
from .starts import starts
from .varpro import OPTIMAL, PLATEAUED, RUNNING, STUCK, Solution, solve

N_STARTS = 96
STAGES = ((16, 10), (7, 20), (7, 100))  # (how many go on, after how many iterations)
ONE_PEAK, ONE_PEAK_STAGE = 2, 1  # how many of the best are tried with one peak for both sides, before which stage
LAST_ITERATIONS = 800  # of the best one, where it is still moving then


@dataclass(frozen=True, slots=True)
class SolverResult:
    """Result of a solver, as ``fit_curve`` takes it.

    Attributes:
        params: the parameters in the user's units.
        ok: whether it converged.
        message: how it ended, in words.
        n_starts: starting points tried.
        n_agree: final runs that reached the best cost within 0.01 %.
    """

    params: CurveParams
    ok: bool
    message: str
    n_starts: int
    n_agree: int


def least_squares(problem: Problem) -> SolverResult:
    """Fit one curve by variable projection.

    Args:
        problem: the scaled curve.
    """
    solution, n_starts = search(problem)
    best = int(solution.cost.argmin())
    params = solution_params(problem, solution, best)
    status = int(solution.status[best])
    message = {
        RUNNING: f"not converged after {LAST_ITERATIONS} iterations",
        STUCK: "stalled: no step lowers the squared error as predicted",
        PLATEAUED: "converged, but some parameters are not identifiable (see unidentified)",
    }.get(status, "converged")
    close = solution.cost <= solution.cost[best] * (1 + 1e-4) + 1e-20 * len(problem.m)
    return SolverResult(params, status in (OPTIMAL, PLATEAUED), message, n_starts, int(close.sum()))


def search(problem: Problem) -> tuple[Solution, int]:
    """Run all stages of the multi-start search and return the finalists and the number of starting points.

    Args:
        problem: the scaled curve.
    """
    theta, sigma = starts(problem.decay, problem.target, with_alpha=problem.with_alpha, count=N_STARTS)
    n_starts = len(theta)
    for stage, (keep, iterations) in enumerate(STAGES):
        if problem.decay.two_sided and stage == ONE_PEAK_STAGE:
            theta, sigma = _with_one_peak(theta, sigma)
        solution = _moved(problem, theta, sigma, iterations)
        best = np.argsort(solution.cost)[:keep]
        theta, sigma = solution.theta[best], solution.sigma[best]
    solution = solution.take(best)
    if solution.status[0] == RUNNING:
        solution = solution.replaced(0, _moved(problem, theta[:1], sigma[:1], LAST_ITERATIONS))
    return solution, n_starts


def _with_one_peak(theta: FloatArray, sigma: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The starts, and the best of them with the centre, L and p of one sign of m used for both: one smooth peak.

    Where the peak lies far from zero, the tail on the other side is easily explained wrongly.
    """
    best = theta[:ONE_PEAK]
    plus = np.concatenate([best[:, :3], best[:, 1:3]], axis=1)
    minus = np.concatenate([best[:, :1] * sigma[:ONE_PEAK, None], best[:, 3:], best[:, 3:]], axis=1)
    return np.concatenate([theta, plus, minus]), np.concatenate([sigma, np.ones(2 * len(best))])


def _moved(problem: Problem, theta: FloatArray, sigma: FloatArray, iterations: int) -> Solution:
    rows = np.broadcast_to(problem.target, (len(theta), len(problem.target)))
    return solve(problem.decay, rows, theta, sigma, with_alpha=problem.with_alpha, max_iterations=iterations)


def solution_params(problem: Problem, solution: Solution, row: int) -> CurveParams:
    """Parameters of one row of a solution, in the user's units.

    Args:
        problem: the scaled curve.
        solution: of S problems.
        row: which of them.
    """
    linear = solution.linear[row] * problem.span
    linear[0] += problem.offset
    return to_params(problem.decay, solution.theta[row], float(solution.sigma[row]), linear, problem.scale)
