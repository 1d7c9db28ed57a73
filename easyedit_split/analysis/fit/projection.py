"""Linear least squares inside variable projection: alpha, beta' and y0 for given shapes, for many problems at once.

    y(x) = alpha x G(x) + beta' (G(x) - 1) + y0,        columns times the square roots of the points' weights

G - 1 is computed with expm1, so a curve that hardly decays keeps full relative precision. At x = 0 the curve is y0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from ...types import FloatArray

RANK_TOL = 1e-11  # a column that is smaller outside the span of the others, relative to itself, is left out


@dataclass(frozen=True, slots=True)
class Projection:
    """Solution of the linear least-squares part: orthonormal basis, residual and coefficients of S problems.

    Attributes:
        basis: ``[S k n]`` orthonormal rows (k = 3 with alpha, 2 without).
        residual: ``[S n]`` what is left of y.
        cost: ``[S]`` its sum of squares.
        linear: ``[S 3]`` y0, beta', alpha in scaled x.
        G: ``[S n]`` relative validity.
    """

    basis: FloatArray
    residual: FloatArray
    cost: FloatArray
    linear: FloatArray
    G: FloatArray

    def take(self, rows: Bool[np.ndarray, " S"]) -> Projection:
        """Select some of the problems.

        Args:
            rows: which of the S.
        """
        return Projection(self.basis[rows], self.residual[rows], self.cost[rows], self.linear[rows], self.G[rows])


def orthonormal(
    log_G: Float[FloatArray, "S n"], x: Float[FloatArray, " n"], with_alpha: bool, root: Float[FloatArray, " n"]
) -> tuple[Float[FloatArray, "S k n"], Float[FloatArray, "S k k"]]:
    """Orthonormal basis of span(1, G - 1[, x G]) by Gram-Schmidt, done twice, with its triangular factor.

    A column that lies in the span of the earlier ones gets a zero row and a zero on the diagonal.

    Args:
        log_G: relative log-validity of S problems.
        x: scaled m.
        with_alpha: preference (True) or utility (False).
        root: square root of each point's weight.
    """
    S, n = log_G.shape
    k = 3 if with_alpha else 2
    basis, upper = np.zeros((S, k, n)), np.zeros((S, k, k))
    basis[:, 0], upper[:, 0, 0] = root / np.sqrt(n), np.sqrt(n)  # the weights' mean is 1
    columns = [root * np.expm1(log_G)]
    if with_alpha:
        columns.append(x * (root + columns[0]))
    for j, column in enumerate(columns, start=1):
        done, v = basis[:, :j], column
        for _ in range(2):
            h = np.matmul(done, v[:, :, None])
            v = v - np.matmul(h.transpose(0, 2, 1), done)[:, 0]
            upper[:, :j, j] += h[:, :, 0]
        size, original = np.sqrt(np.einsum("sn,sn->s", v, v)), np.sqrt(np.einsum("sn,sn->s", column, column))
        keep = size > RANK_TOL * original
        upper[:, j, j] = np.where(keep, size, 0.0)
        basis[:, j] = v * np.divide(1.0, size, out=np.zeros(S), where=keep)[:, None]
    return basis, upper


def project(
    log_G: Float[FloatArray, "S n"],
    x: Float[FloatArray, " n"],
    y: Float[FloatArray, "S n"],
    with_alpha: bool,
    root: Float[FloatArray, " n"],
) -> Projection:
    """Solve the linear least squares for alpha, beta', y0 of each problem, and return the residual.

    Args:
        log_G: relative log-validity of S problems.
        x: scaled m.
        y: scaled curves, times ``root``.
        with_alpha: preference (True) or utility (False).
        root: square roots of the points' weights, whose mean is 1.
    """
    basis, upper = orthonormal(log_G, x, with_alpha, root)
    h = np.matmul(basis, y[:, :, None])[:, :, 0]
    residual = y - np.matmul(h[:, None, :], basis)[:, 0]
    coef = np.zeros((len(y), 3))
    for j in reversed(range(upper.shape[1])):
        rest = h[:, j] - np.einsum("sk,sk->s", upper[:, j, j + 1 :], coef[:, j + 1 : upper.shape[1]])
        coef[:, j] = np.divide(rest, upper[:, j, j], out=np.zeros(len(y)), where=upper[:, j, j] > 0)
    cost = np.einsum("sn,sn->s", residual, residual)
    return Projection(basis, residual, cost, coef, np.exp(log_G))
