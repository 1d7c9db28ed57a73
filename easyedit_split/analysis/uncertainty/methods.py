"""Uncertainty of fitted curves by pairs bootstrap, sandwich covariance, or residuals where there are no pairs.

Concepts are taken as given: the intervals are about other pairs of the same concepts.
"""

from __future__ import annotations

import numpy as np

from ...log_odds import PairOdds
from ...sweep_curves import SweepCurve
from ...types import ConfigError, DataError
from ..fit.fit_curve import CurveFit
from .bootstrap import bootstrap
from .sandwich import residual, sandwich
from .spread import METHODS, FittedPairs, Method, Spread


def spread_of(
    curve: SweepCurve,
    preference: CurveFit | None,
    utility: CurveFit | None,
    *,
    method: Method | None = None,
    level: float = 0.95,
    replicates: int = 400,
    seed: int = 0,
) -> Spread:
    """Joint uncertainty of fitted curves by bootstrap over pairs, sandwich covariance or residuals.

    Args:
        curve: the data that were fitted.
        preference: fit of the preference; None where there is none.
        utility: fit of the utility; None where there is none.
        method: None chooses bootstrap where there are pairs and residual where there are none.
        level: coverage of the confidence intervals, in (0, 1).
        replicates: bootstrap samples.
        seed: of the resampling.

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
        return residual(inputs, level)
    for given in inputs:
        _check_pairs(given.table, curve.name, method)
    if method == "sandwich":
        return sandwich(inputs, level)
    return bootstrap(inputs, level, replicates, seed)


def _inputs(curve: SweepCurve, preference: CurveFit | None, utility: CurveFit | None) -> list[FittedPairs]:
    everyone = np.arange(len(curve.preference.values))
    out = [FittedPairs(preference, curve.preference, everyone)] if preference is not None else []
    if utility is not None:
        out.append(FittedPairs(utility, curve.table("utility"), curve.kept))
    if not out:
        raise ConfigError("spread needs at least one fitted curve.")
    return out


def _check_pairs(table: PairOdds, where: str, method: str) -> None:
    if not table.has_pairs:
        raise DataError(
            f"{where}: {method} needs one row per pair (column 'pair'); a curve without pairs can only use 'residual'."
        )
    if np.unique(table.concepts, return_counts=True)[1].min() < 2:
        raise DataError(f"{where}: {method} needs at least two pairs in every concept; merge or leave out the others.")
