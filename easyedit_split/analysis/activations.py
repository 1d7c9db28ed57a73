"""The mechanism itself (Fig. 3, Assumptions 4.1 and 4.2): how far h + m dh leaves the activation manifold.

An activations file is a NumPy archive (.npz, no pickles) of one layer, float arrays:

    h        [n, d]            activations of stably handled inputs at the intervened place (m = 0); required
    dh       [d] or [n, d]     change at m = 1, one for all rows or one for each; required
    w_util   [d]               utility direction; or
    util     [n]               utility log-odds of each row, from which the direction is estimated by ridge regression
    w_pref   [d]               preference direction (optional); pref [n] likewise
    model, layer               strings or numbers, kept as labels (optional)

Half of the rows (every other one) define the manifold, the other half is steered and measured:

    residual(m)     RMS distance of h + m dh from the principal subspace that holds 95 % of the variance
    mahalanobis(m)  RMS of sqrt( (x - mu)' C^-1 (x - mu) / d )
    cos(dh, w)      angle between the change and a direction; Assumption: w_util . dh ~ 0

Both are divided by their value at m = 0. C is the covariance of the reference half; eigenvalues outside the principal
subspace are replaced by their mean (a probabilistic PCA), so that few rows in many dimensions still give a metric.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import stats

from easyedit_split.analysis.fit import CurveFit
from easyedit_split.types import DataError, FloatArray

VARIANCE_KEPT = 0.95
MIN_ROWS = 20
RIDGE = 1e-2  # of the mean eigenvalue


@dataclass(frozen=True)
class Activations:
    """Contents of an activations file; `dh` broadcast to every row, directions None where they cannot be had."""

    h: FloatArray
    dh: FloatArray
    w_util: FloatArray | None
    w_pref: FloatArray | None
    label: str


@dataclass(frozen=True)
class Manifold:
    """A probabilistic PCA of reference activations.

    Attributes:
        mean: ``[d]``; axes: ``[k d]`` orthonormal; variances: ``[k]``; rest: variance per remaining dimension.
    """

    mean: FloatArray
    axes: FloatArray
    variances: FloatArray
    rest: float

    def residual(self, x: Float[FloatArray, "n d"]) -> Float[FloatArray, " n"]:
        """Distance to the principal subspace, in units of the activations."""
        centred = x - self.mean
        total = np.square(centred).sum(axis=1) - np.square(centred @ self.axes.T).sum(axis=1)
        return np.asarray(np.sqrt(np.maximum(total, 0.0)), dtype=np.float64)

    def mahalanobis(self, x: Float[FloatArray, "n d"]) -> Float[FloatArray, " n"]:
        """sqrt( (x - mu)' C^-1 (x - mu) / d ): about 1 for a reference activation."""
        inside = np.square((x - self.mean) @ self.axes.T / np.sqrt(self.variances)).sum(axis=1)
        inside += np.square(self.residual(x)) / self.rest
        return np.asarray(np.sqrt(inside / x.shape[1]), dtype=np.float64)


def read_activations(path: str | Path) -> Activations:
    """Read an activations file.

    Raises:
        DataError: unreadable, a key is missing, a shape does not fit, a value is not finite, or too few rows.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: there is no such file.")
    try:
        with np.load(path, allow_pickle=False) as archive:
            data = {key: archive[key] for key in archive.files}
    except (ValueError, OSError) as error:
        raise DataError(f"{path}: not a readable .npz archive ({error}).") from error
    for key in ("h", "dh"):
        if key not in data:
            raise DataError(f"{path}: key {key!r} is missing; h and dh are required.")
    h = _array(path, data, "h", 2)
    n, d = h.shape
    if n < MIN_ROWS:
        raise DataError(f"{path}: h has {n} rows; at least {MIN_ROWS} are needed to describe a manifold.")
    dh = np.asarray(data["dh"], dtype=np.float64)
    if dh.shape not in ((d,), (n, d)):
        raise DataError(f"{path}: dh has shape {dh.shape}; it must be ({d},) or ({n}, {d}).")
    _finite(path, "dh", dh)
    label = " ".join(str(data[key]) for key in ("model", "layer") if key in data)
    directions = [_direction(path, data, h, name) for name in ("util", "pref")]
    return Activations(h, np.broadcast_to(dh, h.shape), directions[0], directions[1], label)


def manifold(h: Float[FloatArray, "n d"], variance_kept: float = VARIANCE_KEPT) -> Manifold:
    """Probabilistic PCA of reference activations (Assumption 4.1)."""
    mean = h.mean(axis=0)
    _, singular, axes = np.linalg.svd(h - mean, full_matrices=False)
    variances = np.square(singular) / (len(h) - 1)
    share = np.cumsum(variances) / variances.sum()
    k = min(int(np.searchsorted(share, variance_kept)) + 1, h.shape[1] - 1, len(variances) - 1)
    rest = float(variances[k:].sum()) / (h.shape[1] - k)
    return Manifold(mean, axes[:k], variances[:k], max(rest, 1e-12 * float(variances[0])))


def distances(acts: Activations, m: Float[FloatArray, " g"]) -> pd.DataFrame:
    """Distances of h + m dh from the manifold: columns `m, residual, mahalanobis`, each 1 at m = 0."""
    shape = manifold(acts.h[::2])
    h, dh = acts.h[1::2], acts.dh[1::2]
    base = _rms(shape.residual(h)), _rms(shape.mahalanobis(h))
    rows = []
    for value in m:
        x = h + value * dh
        rows.append((float(value), _rms(shape.residual(x)) / base[0], _rms(shape.mahalanobis(x)) / base[1]))
    return pd.DataFrame(rows, columns=["m", "residual", "mahalanobis"])


def directions(acts: Activations) -> dict[str, float]:
    """Cosine of dh with the utility and preference directions (mean over rows); random directions give ~ 1/sqrt(d)."""
    out = {"chance": float(1 / np.sqrt(acts.h.shape[1]))}
    for name, w in (("utility", acts.w_util), ("preference", acts.w_pref)):
        if w is not None:
            size = np.linalg.norm(acts.dh, axis=1) * np.linalg.norm(w)
            out[name] = float((acts.dh @ w / size).mean())
    return out


@dataclass(frozen=True)
class Mechanism:
    """The distance from the manifold held against fitted validity.

    Attributes:
        table: `m, residual, mahalanobis, D_<kind>...` at the fitted m.
        correlation: Spearman's rho of each distance with each D, all swept m (Assumption 4.2 expects near -1).
        closest: m of least distance on each side, by distance, beside the fitted m+ and m-.
        cosines: of dh with the directions (see `directions`).
    """

    table: pd.DataFrame
    correlation: dict[str, float]
    closest: dict[str, tuple[float, float]]
    cosines: dict[str, float]


def mechanism(acts: Activations, fits: dict[str, CurveFit]) -> Mechanism:
    """Hold distances from the manifold against the fitted D(m) of each curve ("preference", "utility").

    Raises:
        DataError: no fit was given.
    """
    if not fits:
        raise DataError("mechanism needs at least one fitted curve to hold the distances against.")
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
    """(m <= 0, m >= 0) of least distance, on a fine grid over the sweep."""
    fine = distances(acts, np.linspace(min(m.min(), 0.0), max(m.max(), 0.0), 401))
    out = {}
    for name in ("residual", "mahalanobis"):
        sides = [fine[fine["m"] <= 0], fine[fine["m"] >= 0]]
        low, high = (float(side["m"].to_numpy()[side[name].to_numpy().argmin()]) for side in sides)
        out[name] = (low, high)
    return out


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.square(values).mean()))


def _array(path: Path, data: dict[str, np.ndarray], key: str, ndim: int) -> FloatArray:
    values = np.asarray(data[key], dtype=np.float64)
    if values.ndim != ndim:
        raise DataError(f"{path}: {key} has shape {values.shape}; it must have {ndim} dimensions.")
    _finite(path, key, values)
    return values


def _finite(path: Path, key: str, values: FloatArray) -> None:
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        where = ", ".join(str(int(i)) for i in bad[0])
        raise DataError(f"{path}: {key}[{where}] is {values[tuple(bad[0])]}; every value must be finite.")


def _direction(path: Path, data: dict[str, np.ndarray], h: FloatArray, name: str) -> FloatArray | None:
    """`w_<name>` as given, or ridge regression of `<name>` on h, or None."""
    n, d = h.shape
    if f"w_{name}" in data:
        w = _array(path, data, f"w_{name}", 1)
        if w.shape != (d,):
            raise DataError(f"{path}: w_{name} has {len(w)} entries; h has {d} columns.")
        return w
    if name not in data:
        return None
    y = _array(path, data, name, 1)
    if y.shape != (n,):
        raise DataError(f"{path}: {name} has {len(y)} entries; h has {n} rows.")
    centred = h - h.mean(axis=0)
    gram = centred @ centred.T
    dual = np.linalg.solve(gram + RIDGE * np.trace(gram) / n * np.eye(n), y - y.mean())
    return np.asarray(centred.T @ dual, dtype=np.float64)
