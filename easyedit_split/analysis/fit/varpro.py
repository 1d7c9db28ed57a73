"""Variable projection for curves that are linear in alpha, beta and b, for many problems at once.

    y(x) = alpha x G(x) + beta' (G(x) - 1) + y0,        G = D / D(0),  beta' = beta D(0),  y0 = y(0)

For given shape coordinates theta the three linear coefficients are a least-squares solution, so only theta is searched
(Golub and Pereyra 1973), with Kaufman's Jacobian and Levenberg-Marquardt steps that stay inside. S problems
advance together; finished ones leave. The linear part is ``projection``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from ...types import FloatArray, IntArray
from .projection import Projection, project
from .steps import bounded_step, sliding_step

STEP_TOL = 1e-9  # predicted relative decrease of the cost below which a problem counts as converged
PLATEAU = (20, 3e-5, 1e-10)  # or: over so many iterations it fell by less than this share of itself or of y's scatter
PROMISE = 1e-2  # share of the cost that a step may still promise where a problem is called converged
RUNNING, OPTIMAL, PLATEAUED, STUCK = 0, 1, 2, 3
COST_FLOOR = 1e-26  # cost relative to y's sum of squares that is rounding error
DAMPING = (1e-12, 1e12)


@runtime_checkable
class Decay(Protocol):
    """Family of validity shapes on a fixed grid, in free coordinates inside a box."""

    @property
    def x(self) -> FloatArray:
        """Scaled grid ``[n]``."""
        ...

    @property
    def root_weights(self) -> FloatArray:
        """Square roots ``[n]`` of the points' weights."""
        ...

    @property
    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """Lower and upper bounds ``[q]`` of the coordinates."""
        ...

    def retract(self, theta: FloatArray) -> tuple[FloatArray, Bool[np.ndarray, " S"]]:
        """Retraction onto the feasible set, and whether a nonlinear constraint is active.

        Args:
            theta: ``[S q]`` inside the box.
        """
        ...

    def walls(self, theta: FloatArray) -> tuple[FloatArray, Bool[np.ndarray, "S k"]]:
        """Outward normals ``[S k q]`` of the nonlinear constraints, and which of them are active.

        Args:
            theta: ``[S q]`` inside the feasible set.
        """
        ...

    def log_relative(self, theta: FloatArray, sigma: FloatArray) -> FloatArray:
        """Relative log-validity log G, ``[S n]``.

        Args:
            theta: ``[S q]`` free shape coordinates.
            sigma: ``[S]`` relative sign of the centres.
        """
        ...

    def jacobian(self, theta: FloatArray, sigma: FloatArray) -> FloatArray:
        """Jacobian d log G / d theta, ``[S n q]``.

        Args:
            theta: ``[S q]`` free shape coordinates.
            sigma: ``[S]`` relative sign of the centres.
        """
        ...


@dataclass(frozen=True, slots=True)
class Solution:
    """Result of ``solve`` for S problems.

    Attributes:
        theta: ``[S q]`` free shape coordinates.
        sigma: ``[S]`` relative sign of the centres.
        cost: ``[S]`` sum of squares.
        status: ``[S]`` ``OPTIMAL`` (no descent left), ``PLATEAUED`` (a ridge on which the cost no longer falls to
            speak of: parameters that trade off); not converged are ``RUNNING`` and ``STUCK`` (no step lowers the cost
            although it promises to).
        iterations: of the slowest problem.
        linear: ``[S 3]`` y0, beta', alpha in scaled x.
    """

    theta: FloatArray
    sigma: FloatArray
    cost: FloatArray
    status: IntArray
    iterations: int
    linear: FloatArray

    def take(self, rows: IntArray) -> Solution:
        """Select some of the problems.

        Args:
            rows: which of the S.
        """
        chosen = self.theta[rows], self.sigma[rows], self.cost[rows], self.status[rows]
        return Solution(*chosen, self.iterations, self.linear[rows])

    def replaced(self, row: int, other: Solution) -> Solution:
        """This solution with one problem's result replaced by the only one of ``other``.

        Args:
            row: which problem.
            other: a solution of one problem.
        """
        theta, sigma, cost = self.theta.copy(), self.sigma.copy(), self.cost.copy()
        status, linear = self.status.copy(), self.linear.copy()
        theta[row], sigma[row], cost[row] = other.theta[0], other.sigma[0], other.cost[0]
        status[row], linear[row] = other.status[0], other.linear[0]
        return Solution(theta, sigma, cost, status, max(self.iterations, other.iterations), linear)


def _normal_equations(
    decay: Decay, theta: FloatArray, sigma: FloatArray, fit: Projection
) -> tuple[FloatArray, FloatArray]:
    """Gauss-Newton matrix ``[S q q]`` and right-hand side ``[S q]`` (Kaufman's approximation)."""
    amplitude = (fit.linear[:, 2:] * decay.x + fit.linear[:, 1:2]) * fit.G * decay.root_weights
    A = decay.jacobian(theta, sigma) * amplitude[:, :, None]
    A -= np.matmul(fit.basis.transpose(0, 2, 1), np.matmul(fit.basis, A))
    At = A.transpose(0, 2, 1)
    return np.matmul(At, A), np.matmul(At, fit.residual[:, :, None])[:, :, 0]


def _verdict(
    cost: FloatArray, gain: FloatArray, damping: FloatArray, scatter: FloatArray, earlier: FloatArray | None
) -> IntArray:
    """Convergence status of each problem; ``earlier`` is the cost some iterations ago, for detecting a plateau.

    However strongly damped, a step promises about damping x gain as much as a free one would: a problem that cannot
    take steps although they promise a lot has not converged.
    """
    nothing_to_gain = gain * np.maximum(1.0, damping) <= np.maximum(PROMISE * cost, PLATEAU[2] * scatter)
    out = np.where(damping >= DAMPING[1], np.where(nothing_to_gain, OPTIMAL, STUCK), RUNNING)
    done = (cost <= COST_FLOOR * scatter) | ((gain <= STEP_TOL * cost) & (damping <= 1e-2))
    out = np.where(done, OPTIMAL, out)
    if earlier is not None:
        flat = earlier - cost <= np.maximum(PLATEAU[1] * cost, PLATEAU[2] * scatter)
        out = np.where((out == RUNNING) & flat & nothing_to_gain, PLATEAUED, out)
    return out.astype(np.int64)


def _step(
    decay: Decay, H: FloatArray, g: FloatArray, damping: FloatArray, theta: FloatArray, touching: Bool[np.ndarray, " S"]
) -> tuple[FloatArray, FloatArray]:
    """Steps ``[S q]`` and their predicted decrease ``[S]``; nonlinear constraints join the active set where they are
    reached.
    """
    step, gain = bounded_step(H, g, damping, theta, decay.bounds)
    rows = np.flatnonzero(touching)
    if len(rows):
        normals, touched = decay.walls(theta[rows])
        crossing = (touched & (np.matmul(normals, step[rows, :, None])[:, :, 0] > 0)).any(axis=1)
        rows, walls = rows[crossing], (normals[crossing], touched[crossing])
    if len(rows):
        step[rows], gain[rows] = sliding_step(H[rows], g[rows], damping[rows], theta[rows], decay.bounds, walls)
    return step, gain


def solve(
    decay: Decay,
    y: Float[FloatArray, "S n"],
    theta: Float[FloatArray, "S q"],
    sigma: Float[FloatArray, " S"],
    *,
    with_alpha: bool,
    max_iterations: int = 200,
) -> Solution:
    """Run variable projection by Levenberg-Marquardt, from one starting point per problem.

    Args:
        decay: the shape family on its grid.
        y: one data row per problem.
        theta: starting points; moved inside the box and the constraints.
        sigma: relative sign of the centres.
        with_alpha: preference (True) or utility (False).
        max_iterations: problems still moving after as many are reported as not converged.
    """
    low, high = decay.bounds
    S, root = len(theta), decay.root_weights
    theta, touching = decay.retract(np.clip(theta, low, high))
    y = y * root
    fit = project(decay.log_relative(theta, sigma), decay.x, y, with_alpha, root)
    H, g = _normal_equations(decay, theta, sigma, fit)
    cost, linear = fit.cost.copy(), fit.linear.copy()
    damping, status = np.full(S, 1e-2), np.full(S, RUNNING, dtype=np.int64)
    centred = y - (y @ root)[:, None] * root / len(root)
    scatter = np.einsum("sn,sn->s", centred, centred)
    live, iteration, earlier = np.arange(S), 0, cost.copy()
    for iteration in range(1, max_iterations + 1):
        step, gain = _step(decay, H[live], g[live], damping[live], theta[live], touching[live])
        milestone = iteration % PLATEAU[0] == 0
        verdict = _verdict(cost[live], gain, damping[live], scatter[live], earlier[live] if milestone else None)
        status[live] = verdict
        if milestone:
            earlier = cost.copy()
        live, step = live[verdict == RUNNING], step[verdict == RUNNING]
        if not len(live):
            break
        trial, near = decay.retract(np.clip(theta[live] + step, low, high))
        fit = project(decay.log_relative(trial, sigma[live]), decay.x, y[live], with_alpha, root)
        better = fit.cost < cost[live]
        won, fit = live[better], fit.take(better)
        theta[won], touching[won], cost[won], linear[won] = trial[better], near[better], fit.cost, fit.linear
        H[won], g[won] = _normal_equations(decay, theta[won], sigma[won], fit)
        damping[live] = np.clip(np.where(better, damping[live] * 0.2, damping[live] * 4.0), *DAMPING)
    return Solution(theta, sigma, cost, status, iteration, linear)
