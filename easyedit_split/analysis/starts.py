"""Data-driven starts: a lattice of shapes is projected on the data, and the best distinct ones start the search.

A curve is linear in alpha, beta and b, so for a fixed grid each lattice shape is an orthonormal basis that is computed
once; ranking several thousand shapes for a new curve is one matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from jaxtyping import Float

from easyedit_split.analysis.decay import RationalQuadratic
from easyedit_split.analysis.varpro import orthonormal
from easyedit_split.types import FloatArray

T_VALUES = (0.0, 0.25, -0.25, 0.8, -0.8, 1.6, -1.6)
HALF_WIDTHS = (0.06, 0.15, 0.4, 1.0, 3.0)  # distance from the centre to D = 1/2, in units of the scale
P_VALUES = (0.25, 1.0, 6.0)


@dataclass(frozen=True)
class Lattice:
    """Candidate shapes on one grid.

    Attributes:
        theta: ``[K q]``; sigma: ``[K]``; cell: ``[K]`` label of (sign pattern, widths), for diversity.
        basis: ``[K k n]`` orthonormal rows.
    """

    theta: FloatArray
    sigma: FloatArray
    cell: FloatArray
    basis: FloatArray


def _candidates(two_sided: bool) -> tuple[FloatArray, FloatArray, FloatArray]:
    rates = [(w, p) for w in HALF_WIDTHS for p in P_VALUES]
    rows, signs, cells = [], [], []
    for t, sigma in product(T_VALUES, (1.0, -1.0) if two_sided else (1.0,)):
        if t == 0.0 and sigma < 0:
            continue
        for chosen in product(rates, repeat=2 if two_sided else 1):
            shape = [t]
            for width, p in chosen:
                shape += [np.log(p * np.expm1(np.log(2.0) / p) / width**2), np.log(p)]
            rows.append(shape)
            signs.append(sigma)
            cells.append(hash((np.sign(t), sigma, *(w for w, _ in chosen))))
    return np.array(rows), np.array(signs), np.array(cells, dtype=np.float64)


@lru_cache(maxsize=8)
def _lattice(x: bytes, n_left: int, two_sided: bool, with_alpha: bool) -> Lattice:
    decay = RationalQuadratic(np.frombuffer(x), n_left, two_sided)
    theta, sigma, cell = _candidates(two_sided)
    low, high = decay.bounds
    theta = np.clip(theta, low, high)
    keep = decay.feasible(theta, sigma)
    theta, sigma, cell = theta[keep], sigma[keep], cell[keep]
    basis, _ = orthonormal(decay.log_relative(theta, sigma), decay.x, with_alpha)
    return Lattice(theta, sigma, cell, basis)


def starts(
    decay: RationalQuadratic, y: Float[FloatArray, " n"], *, with_alpha: bool, count: int
) -> tuple[Float[FloatArray, "S q"], Float[FloatArray, " S"]]:
    """The `count` best lattice shapes for this curve, at most one per cell of sign pattern and widths."""
    lattice = _lattice(decay.x.tobytes(), decay.n_left, decay.two_sided, with_alpha)
    explained = np.square(lattice.basis @ y).sum(axis=1)
    order = np.argsort(-explained)[: 60 * count]
    _, first = np.unique(lattice.cell[order], return_index=True)
    chosen = order[np.sort(first)[:count]]
    return lattice.theta[chosen], lattice.sigma[chosen]
