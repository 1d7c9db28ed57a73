"""Starting points of the multi-start search: a grid of shapes ranked by their fit, of which the best distinct ones are
kept.

A curve is linear in alpha, beta and b, so for a fixed grid each lattice shape is an orthonormal basis that is computed
once; ranking several thousand shapes for a new curve is one matrix product. The lattice is spanned by t (so by D(0))
and, per side, the half-width and p. Narrow shapes reach far only at particular t, so peaks at the grid's own points are
added to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, pairwise, product, starmap

import numpy as np
from jaxtyping import Float

from ...types import FloatArray, IntArray
from .decay import T_BOUND, RationalQuadratic
from .projection import orthonormal

T_VALUES = (0.0, 0.25, -0.25, 0.8, -0.8, 1.6, -1.6)
HALF_WIDTHS = (0.06, 0.15, 0.4, 1.0, 3.0)  # distance from the centre to D = 1/2, in units of the scale
P_VALUES = (0.25, 1.0, 6.0)
SPACINGS, MOST_FINER = 1.2, 5  # narrowest half-width in units of the smallest grid spacing; how many below the usual
NARROW = 0.2  # half-widths up to here are placed at the grid's points
APART, MOST_PLACES = 1.5, 12  # places of one half-width: how far apart, in half-widths, and how many
CACHED = 16  # a curve's two kinds, whole and with each of five folds left out, are 12 lattices

Shape = tuple[float, float]  # half-width, p


@dataclass(frozen=True)
class Lattice:
    """Grid of starting shapes for a multi-start search.

    Attributes:
        theta: ``[K q]`` free shape coordinates.
        sigma: ``[K]`` relative sign of the centres.
        cell: ``[K]`` number of (sign pattern, widths, placed or not), for diversity.
        basis: ``[K k n]`` orthonormal rows.
    """

    theta: FloatArray
    sigma: FloatArray
    cell: IntArray
    basis: FloatArray


def half_widths(decay: RationalQuadratic) -> tuple[float, ...]:
    """Half-widths of the starting peaks: ``HALF_WIDTHS``, and narrower ones where the grid of m resolves them.

    Args:
        decay: the shape family on its grid.
    """
    finest = SPACINGS * float(np.diff(decay.x).min())
    ratio = HALF_WIDTHS[1] / HALF_WIDTHS[0]
    count = min(MOST_FINER, int(np.ceil(np.log(HALF_WIDTHS[0] / finest) / np.log(ratio) - 1e-9)))
    finer = np.geomspace(finest, HALF_WIDTHS[0], count + 1)[:-1] if count > 0 else ()
    return (*(float(w) for w in finer), *HALF_WIDTHS)


@lru_cache(maxsize=1024)
def _coordinates(width: float, p: float) -> tuple[float, float]:
    """Free coordinates of one side's shape: the logs of its rate and of p."""
    return float(np.log(p * np.expm1(np.log(2.0) / p) / width**2)), float(np.log(p))


def _spanned(two_sided: bool, widths: tuple[float, ...]) -> list[tuple[float, float, tuple[Shape, ...]]]:
    """Starting shapes (t, sigma, shape for each sign of m) over all t, half-widths and p; narrow widths with p = 1
    only.
    """
    shapes = [(w, p) for w in widths for p in (P_VALUES if w >= HALF_WIDTHS[0] else (1.0,))]
    signs = (1.0, -1.0) if two_sided else (1.0,)
    return [
        (t, sigma, chosen)
        for t, sigma in product(T_VALUES, signs)
        if t != 0.0 or sigma > 0
        for chosen in product(shapes, repeat=2 if two_sided else 1)
    ]


def _placed(decay: RationalQuadratic, widths: tuple[float, ...]) -> list[tuple[float, float, tuple[Shape, ...]]]:
    """Starting shapes (t, sigma, shapes): a narrow peak at a grid point for one sign of m, any shape for the other."""
    found: list[tuple[float, float, tuple[Shape, ...]]] = []
    for right in (True, False):
        x = decay.x[decay.x > 0] if right else -decay.x[decay.x < 0][::-1]
        for width, p in product((w for w in widths if w <= NARROW), P_VALUES):
            for c in _places(x, width):
                t = float(np.sqrt(p * np.log1p((c / width) ** 2 * np.expm1(np.log(2.0) / p))))
                if t > T_BOUND:
                    continue
                if not decay.two_sided:
                    found.append((t if right else -t, 1.0, ((width, p),)))
                    continue
                for other, sigma in product(dict.fromkeys([*((w, 1.0) for w in widths), (width, p)]), (1.0, -1.0)):
                    sides = (width, p), other
                    found.append((t if right else -t * sigma, sigma, sides if right else sides[::-1]))
    return found


def _places(x: Float[FloatArray, " k"], width: float) -> list[float]:
    """Well-separated points at which the grid is dense enough to resolve a peak of this half-width."""
    out: list[float] = []
    for before, here in pairwise(x):
        if here - before <= width and (not out or here - out[-1] >= APART * width):
            out.append(float(here))
    return out[:: -(-len(out) // MOST_PLACES) or 1]


@lru_cache(maxsize=CACHED)
def _lattice(x: bytes, n_left: int, two_sided: bool, with_alpha: bool) -> Lattice:
    decay = RationalQuadratic(np.frombuffer(x), n_left, two_sided)
    widths = half_widths(decay)
    parts = _spanned(two_sided, widths), _placed(decay, widths)
    candidates = [(*shape, placed) for placed, part in enumerate(parts) for shape in part]
    theta = np.array([[t, *chain.from_iterable(starmap(_coordinates, sides))] for t, _, sides, _ in candidates])
    sigma = np.array([sigma for _, sigma, _, _ in candidates])
    number: dict[tuple[float, ...], int] = {}
    labels = [(np.sign(t), sigma, placed, *(w for w, _ in sides)) for t, sigma, sides, placed in candidates]
    cell = np.array([number.setdefault(label, len(number)) for label in labels], dtype=np.int64)
    low, high = decay.bounds
    theta = np.clip(theta, low, high)
    keep = decay.feasible(theta, sigma)
    theta, sigma, cell = theta[keep], sigma[keep], cell[keep]
    basis, _ = orthonormal(decay.log_relative(theta, sigma), decay.x, with_alpha, decay.root_weights)
    return Lattice(theta, sigma, cell, basis)


def starts(
    decay: RationalQuadratic, y: Float[FloatArray, " n"], *, with_alpha: bool, count: int
) -> tuple[Float[FloatArray, "S q"], Float[FloatArray, " S"]]:
    """The ``count`` best starting points for this curve, at most one per cell of sign pattern and widths.

    Args:
        decay: the shape family on its grid.
        y: scaled curve.
        with_alpha: preference (True) or utility (False).
        count: how many.
    """
    lattice = _lattice(decay.x.tobytes(), decay.n_left, decay.two_sided, with_alpha)
    explained = np.square(lattice.basis @ (y * decay.root_weights)).sum(axis=1)
    order = np.argsort(-explained)[: 60 * count]
    _, first = np.unique(lattice.cell[order], return_index=True)
    chosen = order[np.sort(first)[:count]]
    return lattice.theta[chosen], lattice.sigma[chosen]
