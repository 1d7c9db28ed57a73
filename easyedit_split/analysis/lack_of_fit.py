"""Lack-of-fit test of a fitted curve against the variation between pairs: overall, near 0 and near m*.

    Q = sum w_j r_j^2 / sum w_j v_j,     r = mean curve - fit,     v_j = variance of r_j over pairs if the form is right

If the form is right, r is what the fit leaves of the pairs' own deviations d_i: r = sum_i d_i (I - J A), A the
linearised fit. So Q is 1 on average, and its distribution follows from turning the sign of each d_i at random (a wild
bootstrap; no refit). "Near" is a point of the sweep and two to either side of it. A misfit counts where it is beyond
chance and worth a word: 5 % and 0.1 nats. Without pairs, nothing says how far points scatter, and nothing is tested.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..log_odds import PairOdds, mean_deviations
from ..types import FloatArray
from .fit.fit_curve import CurveFit
from .fit.identify import estimator
from .fit.weights import spacing_weights

LEVEL, LEAST = 0.05, 0.1
"""A misfit counts below this probability and above so many nats."""
DRAWS, SEED, NEAR = 2000, 0, 2


@dataclass(frozen=True, slots=True)
class Misfit:
    """Size of a fit's deviation from its points, nats, and its p-value.

    Attributes:
        where: "the sweep", "m = 0" or "m = ...".
        nats: root mean square of the misses.
        probability: of as much by chance, were the form right.
    """

    where: str
    nats: float
    probability: float

    @property
    def counts(self) -> bool:
        """Whether the deviation is significant and large enough to report."""
        return self.probability < LEVEL and self.nats >= LEAST

    def sentence(self) -> str:
        """The deviation as a sentence."""
        chance = f"p < {1 / DRAWS:g}" if self.probability < 1 / DRAWS else f"p = {self.probability:.2g}"
        place = "over the sweep" if self.where == "the sweep" else f"near {self.where}"
        return f"has a lack of fit of {self.nats:.2g} nats {place} ({chance})"


@dataclass(frozen=True, slots=True)
class LackOfFit:
    """Lack-of-fit tests of one fitted curve.

    Attributes:
        sweep: over all points.
        zero: near m = 0.
        chosen: near the recommended m; None where there is none.
    """

    sweep: Misfit
    zero: Misfit
    chosen: Misfit | None

    @property
    def found(self) -> tuple[Misfit, ...]:
        """The tests that are significant."""
        return tuple(part for part in (self.sweep, self.zero, self.chosen) if part is not None and part.counts)

    @property
    def slopes_are_wrong(self) -> bool:
        """Whether slopes at 0 and regions should be taken from the smoothing spline instead."""
        return self.zero.counts or self.sweep.counts


def lack_of_fit(fit: CurveFit, table: PairOdds, m: float | None = None) -> LackOfFit | None:
    """Test one fit against the variation between its pairs; None where that cannot be estimated at the fitted points.

    Args:
        fit: of the table's mean.
        table: the pairs.
        m: recommended, looked at besides.
    """
    single = bool(np.unique(table.concepts, return_counts=True)[1].min() < 2)
    if not table.has_pairs or single or not np.array_equal(table.m, fit.m):
        return None
    coords = fit.coordinates
    left = np.eye(len(fit.m)) - coords.jacobian() @ estimator(coords)
    deviations = mean_deviations(table.values, table.concepts) @ left.T
    signs = np.random.default_rng(SEED).choice([-1.0, 1.0], size=(DRAWS, len(deviations)))
    missed, drawn = fit.y - fit(fit.m), signs @ deviations
    weights = spacing_weights(fit.m)

    def misfit(where: str, points: FloatArray | slice) -> Misfit:
        w = weights[points]
        size = float(w @ np.square(missed[points]))
        chance = float(np.mean(np.square(drawn[:, points]) @ w >= size))
        return Misfit(where, float(np.sqrt(size / w.sum())), chance)

    near_m = None if m is None else misfit(f"m = {m:.3g}", _near(fit.m, m))
    return LackOfFit(misfit("the sweep", slice(None)), misfit("m = 0", _near(fit.m, 0.0)), near_m)


def _near(m: Float[FloatArray, " n"], at: float) -> slice:
    nearest = int(np.abs(m - at).argmin())
    return slice(max(0, nearest - NEAR), nearest + NEAR + 1)
