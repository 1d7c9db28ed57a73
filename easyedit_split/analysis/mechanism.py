"""Test of the mechanism (Fig. 3, Assumptions 4.1 and 4.2): how far h + m dh leaves the activation manifold.

Half of the rows of an activations file (see ``activation_files``) define the manifold, the other half is steered and
measured:

    residual(m)     RMS distance of h + m dh from the principal subspace that holds 95 % of the variance
    mahalanobis(m)  RMS of sqrt( (x - mu)' C^-1 (x - mu) / d )
    cos(dh, w)      angle between the change and a direction; Assumption: w_util . dh ~ 0

Both are divided by their value at m = 0. C is the covariance of the reference half; eigenvalues outside the principal
subspace are replaced by their mean (a probabilistic PCA), so that few rows in many dimensions still give a metric.
Where the file says which pair a row comes from, whole pairs go to one half or the other: neighbouring tokens of one
answer are alike, and would let the reference half see what is measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy import stats

from ..types import DataError, FloatArray
from .activation_files import Activations, read_activations
from .fit.fit_curve import CurveFit

__all__ = [
    "Activations",
    "Manifold",
    "Mechanism",
    "directions",
    "distances",
    "manifold",
    "mechanism",
    "read_activations",
]

VARIANCE_KEPT = 0.95
MIN_REFERENCE = 5


@dataclass(frozen=True)
class Manifold:
    """A probabilistic PCA of reference activations.

    Attributes:
        mean: ``[d]``.
        axes: ``[k d]`` orthonormal principal axes.
        variances: ``[k]`` along them.
        rest: variance per remaining dimension.
    """

    mean: FloatArray
    axes: FloatArray
    variances: FloatArray
    rest: float

    def residual(self, x: Float[FloatArray, "n d"]) -> Float[FloatArray, " n"]:
        """Distance to the principal subspace, in units of the activations.

        Args:
            x: activations.
        """
        centred = x - self.mean
        total = np.square(centred).sum(axis=1) - np.square(centred @ self.axes.T).sum(axis=1)
        return np.asarray(np.sqrt(np.maximum(total, 0.0)), dtype=np.float64)

    def mahalanobis(self, x: Float[FloatArray, "n d"]) -> Float[FloatArray, " n"]:
        """Mahalanobis distance sqrt((x - mu)' C^-1 (x - mu) / d): about 1 for a reference activation.

        Args:
            x: activations.
        """
        inside = np.square((x - self.mean) @ self.axes.T / np.sqrt(self.variances)).sum(axis=1)
        inside += np.square(self.residual(x)) / self.rest
        return np.asarray(np.sqrt(inside / x.shape[1]), dtype=np.float64)


def manifold(h: Float[FloatArray, "n d"], variance_kept: float = VARIANCE_KEPT) -> Manifold:
    """Probabilistic PCA of reference activations (Assumption 4.1).

    Args:
        h: reference activations.
        variance_kept: share of the variance that the principal axes hold.

    Raises:
        DataError: the activations are all the same.
    """
    mean = h.mean(axis=0)
    _, singular, axes = np.linalg.svd(h - mean, full_matrices=False)
    if not singular[0] > 1e-12 * np.abs(h).max():
        raise DataError(f"the {len(h)} reference rows of h are all the same: no manifold; collect more pairs.")
    variances = np.square(singular) / (len(h) - 1)
    share = np.cumsum(variances) / variances.sum()
    k = min(int(np.searchsorted(share, variance_kept)) + 1, h.shape[1] - 1, len(variances) - 1)
    rest = float(variances[k:].sum()) / (h.shape[1] - k)
    return Manifold(mean, axes[:k], variances[:k], max(rest, 1e-12 * float(variances[0])))


def reference_rows(acts: Activations) -> Bool[np.ndarray, " n"]:
    """Rows that define the manifold: every other one, or whole pairs, split into halves of similar size.

    Args:
        acts: an activations file.

    Raises:
        DataError: too few pairs to leave rows on either side.
    """
    n = len(acts.h)
    if acts.pair is None:
        return np.asarray(np.arange(n) % 2 == 0)
    _, number, sizes = np.unique(acts.pair, return_inverse=True, return_counts=True)
    chosen, total = np.zeros(len(sizes), dtype=bool), [0, 0]
    for k, size in enumerate(sizes):
        chosen[k] = total[0] <= total[1]
        total[0 if chosen[k] else 1] += int(size)
    if total[1] == 0 or total[0] < MIN_REFERENCE:
        raise DataError(
            f"{n} rows of {len(sizes)} pair(s) leave {total[0]} to define the manifold and {total[1]} to measure; "
            f"at least {MIN_REFERENCE} and 1 are needed, from different pairs: collect more pairs."
        )
    return np.asarray(chosen[number])


def distances(acts: Activations, m: Float[FloatArray, " g"]) -> pd.DataFrame:
    """Distances of h + m dh from the manifold: columns ``m, residual, mahalanobis``, each 1 at m = 0.

    Args:
        acts: an activations file.
        m: where to look.

    Raises:
        DataError: the rows cannot be parted into two halves, or those of the reference half are all the same.
    """
    reference = reference_rows(acts)
    shape = manifold(acts.h[reference])
    h, dh = acts.h[~reference], acts.dh[~reference]
    base = _rms(shape.residual(h)), _rms(shape.mahalanobis(h))
    rows = []
    for value in m:
        x = h + value * dh
        rows.append((float(value), _rms(shape.residual(x)) / base[0], _rms(shape.mahalanobis(x)) / base[1]))
    return pd.DataFrame(rows, columns=["m", "residual", "mahalanobis"])


def directions(acts: Activations) -> dict[str, float]:
    """Cosine similarity of dh with the utility and preference directions; random directions give about 1/sqrt(d).

    The mean is over the rows that the intervention moves.

    Args:
        acts: an activations file.
    """
    moved = acts.dh[np.linalg.norm(acts.dh, axis=1) > 0]
    out = {"chance": float(1 / np.sqrt(acts.h.shape[1]))}
    for name, w in (("utility", acts.w_util), ("preference", acts.w_pref)):
        if w is not None:
            size = np.linalg.norm(moved, axis=1) * np.linalg.norm(w)
            out[name] = float((moved @ w / size).mean())
    return out


@dataclass(frozen=True)
class Mechanism:
    """Rank correlation of the distance from the manifold with fitted validity.

    Attributes:
        table: ``m, residual, mahalanobis, D_<kind>...`` at the fitted m.
        correlation: Spearman's rho of each distance with each D, all swept m (Assumption 4.2 expects near -1).
        closest: m of least distance on each side, by distance, beside the fitted m+ and m-.
        cosines: of dh with the directions (see ``directions``).
    """

    table: pd.DataFrame
    correlation: dict[str, float]
    closest: dict[str, tuple[float, float]]
    cosines: dict[str, float]


def mechanism(acts: Activations, fits: dict[str, CurveFit]) -> Mechanism:
    """Rank correlation of the distance from the manifold with the fitted D(m) of each curve.

    Args:
        acts: an activations file.
        fits: by kind, ``preference`` or ``utility``.

    Raises:
        DataError: no fit was given.
    """
    if not fits:
        raise DataError("mechanism needs at least one fitted curve to compare the distances with.")
    m = np.unique(np.concatenate([fit.m for fit in fits.values()]))
    table = distances(acts, m)
    correlation = {}
    for kind, fit in fits.items():
        table[f"D_{kind}"] = fit.validity(m)
        for name in ("residual", "mahalanobis"):
            ok = np.isfinite(table[f"D_{kind}"])
            rho = stats.spearmanr(table.loc[ok, name], table.loc[ok, f"D_{kind}"]).statistic
            correlation[f"{name} ~ D_{kind}"] = float(rho)
    return Mechanism(table, correlation, _closest(acts, m), directions(acts))


def _closest(acts: Activations, m: FloatArray) -> dict[str, tuple[float, float]]:
    """The m <= 0 and the m >= 0 of least distance, on a fine grid over the sweep."""
    fine = distances(acts, np.linspace(min(m.min(), 0.0), max(m.max(), 0.0), 401))
    out = {}
    for name in ("residual", "mahalanobis"):
        sides = [fine[fine["m"] <= 0], fine[fine["m"] >= 0]]
        low, high = (float(side["m"].to_numpy()[side[name].to_numpy().argmin()]) for side in sides)
        out[name] = (low, high)
    return out


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.square(values).mean()))
