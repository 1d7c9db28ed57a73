"""What a fit's uncertainty is made of: versions of the curves that move together, and intervals from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from ...sweep_curves import PairOdds
from ...types import FloatArray, IntArray
from ..fit.fit_curve import CurveFit
from .ensemble import Ensemble

Method = Literal["bootstrap", "sandwich", "residual"]
METHODS: tuple[Method, ...] = ("bootstrap", "sandwich", "residual")


@dataclass(frozen=True)
class Spread:
    """Ensembles of both curves that move together, and how to turn derived numbers into intervals.

    Attributes:
        method: which of the three; level: e.g. 0.95; n_pairs: pairs behind it (0 for residual).
        preference, utility: ensembles with one row per draw (bootstrap) or per derivative step (the others: rows
            first plus, then minus); None for a curve that was not given.
        quantile: t quantile (sandwich, residual); tail: lower percentile level (bootstrap).
        step: size of a derivative step in standard deviations, ``[directions]``; empty for bootstrap.
        n_failed: bootstrap draws whose fit did not converge within the iterations (kept as they stand).
        draws: the same uncertainty as random draws; None where the ensembles already are draws.
    """

    method: Method
    level: float
    n_pairs: int
    preference: Ensemble | None
    utility: Ensemble | None
    quantile: float
    tail: float
    step: FloatArray
    n_failed: int = 0
    draws: Spread | None = None

    def interval(
        self, draws: Float[FloatArray, "B ..."], estimate: Float[FloatArray, " ..."]
    ) -> tuple[Float[FloatArray, " ..."], Float[FloatArray, " ..."]]:
        """Lower and upper ends for a number derived from each row; `estimate` is its value at the fit."""
        if self.draws is None:
            low, high = np.quantile(draws, [self.tail, 1 - self.tail], axis=0)
            return np.asarray(low), np.asarray(high)
        half = len(draws) // 2
        step = self.step.reshape(-1, *([1] * (draws.ndim - 1)))
        sd = np.sqrt(np.square((draws[:half] - draws[half:]) / (2 * step)).sum(axis=0))
        return estimate - self.quantile * sd, estimate + self.quantile * sd


@dataclass(frozen=True)
class FittedPairs:
    """One fitted curve, its pairs, and which rows of the preference table they are."""

    fit: CurveFit
    table: PairOdds
    rows: IntArray


def degrees_of_freedom(inputs: list[FittedPairs]) -> tuple[int, int]:
    """Pairs, and pairs less concepts, of the smaller table."""
    table = min((given.table for given in inputs), key=lambda table: len(table.values))
    n = len(table.values)
    return n, n - len(np.unique(table.concepts))
