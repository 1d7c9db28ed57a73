"""The basis of a curve's linear part: orthonormal rows of span(1, G - 1[, x G]), for many problems at once.

G - 1 is computed with expm1, so a curve that hardly decays keeps full relative precision.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from ...types import FloatArray

RANK_TOL = 1e-11


def orthonormal(
    log_G: Float[FloatArray, "S n"], x: Float[FloatArray, " n"], with_alpha: bool, root: Float[FloatArray, " n"]
) -> tuple[Float[FloatArray, "S k n"], Float[FloatArray, "S k k"]]:
    """Orthonormal basis of span(1, G - 1[, x G]) by Gram-Schmidt, done twice; the triangular factor beside it.

    A column that lies in the span of the earlier ones gets a zero row and a zero on the diagonal.

    Args:
        log_G: relative log-validity of S problems.
        x: scaled m.
        with_alpha: preference (True) or utility (False).
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
