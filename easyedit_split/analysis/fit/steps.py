"""Levenberg-Marquardt steps with an active set of bounds and nonlinear constraints.

    (H + damping diag H) step = g        in the directions that keep to every wall the step would otherwise cross

A wall is a bound that the point lies on: its outward normal times the step may not be positive. For the box alone the
gradient says which coordinates to hold. Where a curved border is touched too, walls are taken one at a time, the one
crossed most first, and H, g are projected on what they leave free.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float

from ...types import FloatArray

CROSSED = 1e-10  # of the step's length
FLAT = 1e-200
"""Least scale of a Hessian: times 1e-12 (``_sizes``) and the least damping, 1e-12, it must stay above 1e-308, or a
problem without curvature has no damping either and its step no solution.
"""

BoolArray = npt.NDArray[np.bool_]


def bounded_step(
    H: Float[FloatArray, "S q q"],
    g: Float[FloatArray, "S q"],
    damping: Float[FloatArray, " S"],
    theta: Float[FloatArray, "S q"],
    box: tuple[FloatArray, FloatArray],
) -> tuple[Float[FloatArray, "S q"], Float[FloatArray, " S"]]:
    """Levenberg-Marquardt step with an active set of box bounds, and the remaining Gauss-Newton decrease ``[S]``.

    Args:
        H: Gauss-Newton Hessians of S problems.
        g: negative gradients.
        damping: of each problem.
        theta: where the step begins.
        box: lower and upper bounds, ``[q]`` each.
    """
    low, high = box
    held = ((theta <= low) & (g < 0)) | ((theta >= high) & (g > 0))
    g = np.where(held, 0.0, g)
    H = np.where(held[:, :, None] | held[:, None, :], 0.0, H)
    damped = H + (damping[:, None] * _sizes(H) + np.where(held, 1.0, 0.0))[:, :, None] * np.eye(H.shape[1])
    step = np.asarray(np.linalg.solve(damped, g[:, :, None])[:, :, 0], dtype=np.float64)
    return step, np.einsum("sq,sq->s", step, g)


def sliding_step(
    H: Float[FloatArray, "S q q"],
    g: Float[FloatArray, "S q"],
    damping: Float[FloatArray, " S"],
    theta: Float[FloatArray, "S q"],
    box: tuple[FloatArray, FloatArray],
    walls: tuple[Float[FloatArray, "S k q"], Bool[np.ndarray, "S k"]],
) -> tuple[Float[FloatArray, "S q"], Float[FloatArray, " S"]]:
    """Levenberg-Marquardt step with an active set of box bounds and nonlinear constraints, as ``bounded_step``.

    Args:
        H: Gauss-Newton Hessians of S problems.
        g: negative gradients.
        damping: of each problem.
        theta: where the step begins.
        box: lower and upper bounds, ``[q]`` each.
        walls: outward normals of the nonlinear constraints, and which are active.
    """
    q, size = theta.shape[1], np.sqrt(_sizes(H))
    H, g = H / (size[:, :, None] * size[:, None, :]), g / size  # in units in which the damping is a multiple of 1
    normals, touched = _with_box(theta, box, *walls)
    normals = _unit(normals / size[:, None, :])
    damped, free = H + damping[:, None, None] * np.eye(q), np.broadcast_to(np.eye(q), H.shape).copy()
    while True:
        down = np.einsum("sqr,sr->sq", free, g)
        step = np.linalg.solve(free @ damped @ free + np.eye(q) - free, down[:, :, None])[:, :, 0]
        across = np.where(touched, np.einsum("skq,sq->sk", normals, step), -np.inf)
        worst = across.argmax(axis=1)
        crossed = np.take_along_axis(across, worst[:, None], axis=1)[:, 0]
        rows = np.flatnonzero(crossed > CROSSED * np.abs(step).max(axis=1))
        if not len(rows):
            return step / size, np.einsum("sq,sq->s", step, down)
        touched[rows, worst[rows]] = False
        normal = _unit(np.einsum("sqr,sr->sq", free[rows], normals[rows, worst[rows]]))
        free[rows] -= normal[:, :, None] * normal[:, None, :]


def _sizes(H: FloatArray) -> FloatArray:
    """Diagonal of H, with no entry below 1e-12 of the largest, ``[S q]``."""
    diagonal = np.einsum("sqq->sq", H)
    return np.asarray(np.maximum(diagonal, 1e-12 * np.maximum(diagonal.max(axis=1, keepdims=True), FLAT)))


def _with_box(
    theta: FloatArray, box: tuple[FloatArray, FloatArray], normals: FloatArray, touched: BoolArray
) -> tuple[FloatArray, BoolArray]:
    """Outward normals of the nonlinear constraints, then of the lower and upper bounds, and which are active."""
    S, q = theta.shape
    sides = np.broadcast_to(np.concatenate([-np.eye(q), np.eye(q)]), (S, 2 * q, q))
    at_bound = np.concatenate([theta <= box[0], theta >= box[1]], axis=1)
    return np.concatenate([normals, sides], axis=1), np.concatenate([touched, at_bound], axis=1)


def _unit(vectors: FloatArray) -> FloatArray:
    """Normalise vectors along the last axis to length 1 (0 stays 0)."""
    return np.asarray(vectors / np.maximum(np.sqrt(np.square(vectors).sum(axis=-1, keepdims=True)), 1e-300))
