"""Joint uncertainty of both curves, and confidence intervals of derived numbers: percentiles or the delta method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from ...log_odds import PairOdds
from ...types import FloatArray, IntArray
from ..fit.fit_curve import CurveFit
from .ensemble import Ensemble

Method = Literal["bootstrap", "sandwich", "residual"]
METHODS: tuple[Method, ...] = ("bootstrap", "sandwich", "residual")


@dataclass(frozen=True)
class Spread:
    """Joint uncertainty of both curves, and how it turns derived numbers into confidence intervals (delta method or
    percentiles).

    Attributes:
        method: ``bootstrap``, ``sandwich`` or ``residual``.
        level: coverage, e.g. 0.95.
        n_pairs: pairs behind it (0 for residual).
        preference: one row per draw (bootstrap) or per derivative step (the others: rows first plus, then minus); None
            for a curve that was not given.
        utility: the same for the utility.
        quantile: t quantile (sandwich, residual).
        tail: lower percentile level (bootstrap).
        step: size of a derivative step in standard deviations, ``[directions]``; empty for bootstrap.
        n_failed: bootstrap refits that did not converge within the iterations (kept as they stand).
        n_refits: of how many.
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
    n_refits: int = 0
    draws: Spread | None = None

    def interval(
        self, draws: Float[FloatArray, "B ..."], estimate: Float[FloatArray, " ..."]
    ) -> tuple[Float[FloatArray, " ..."], Float[FloatArray, " ..."]]:
        """Confidence interval of a number derived from each draw: lower and upper end.

        Args:
            draws: the number for each row of the ensembles.
            estimate: its value at the fit.
        """
        if self.draws is None:
            low, high = np.quantile(draws, [self.tail, 1 - self.tail], axis=0)
            return np.asarray(low), np.asarray(high)
        half = len(draws) // 2
        step = self.step.reshape(-1, *([1] * (draws.ndim - 1)))
        sd = np.sqrt(np.square((draws[:half] - draws[half:]) / (2 * step)).sum(axis=0))
        return estimate - self.quantile * sd, estimate + self.quantile * sd

    @property
    def warning(self) -> str:
        """Remark that refits did not converge; empty where all did."""
        if not self.n_failed:
            return ""
        return f"{self.n_failed} of {self.n_refits} refits did not converge and are kept at their last iterate"


@dataclass(frozen=True)
class FittedPairs:
    """One fitted curve with the values of its pairs.

    Attributes:
        fit: the curve.
        table: log-odds of the pairs.
        rows: which rows of the preference table they are.
    """

    fit: CurveFit
    table: PairOdds
    rows: IntArray


def degrees_of_freedom(inputs: list[FittedPairs]) -> tuple[int, int]:
    """Number of pairs, and of pairs less concepts, of the smaller table.

    Args:
        inputs: the fitted curves with their pairs.
    """
    table = min((given.table for given in inputs), key=lambda table: len(table.values))
    n = len(table.values)
    return n, n - len(np.unique(table.concepts))
