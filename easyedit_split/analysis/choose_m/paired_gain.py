"""Mean of a paired difference over pairs with its confidence intervals: Student's t and bootstrap.

    Student      mean +- t se,      se^2 = sum over concepts of the variance of their mean / C^2
    bootstrap    pairs drawn anew within each concept; percentiles widened for small samples (Hesterberg 2015)

A gain is shown where both intervals lie above zero. Concepts are taken as given; where one has a single pair, all pairs
are one group, whose scatter then holds the differences between concepts besides. With the intervals comes what would
change the verdict: how many pairs with this mean and scatter, or which level.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from scipy import stats

from ...log_odds import mean_deviations, pair_weights
from ...types import FloatArray, IntArray
from .interval import Interval

DRAWS, SEED, CACHED = 2000, 0, 8
FEWEST = 6
"""Pairs below which nothing is concluded: six that agree are the fewest that chance makes in less than 5 % of cases."""


@dataclass(frozen=True, slots=True)
class PairedGain:
    """Mean paired difference over pairs, then concepts, with its confidence intervals and p-value.

    Attributes:
        mean: nats.
        pairs: how many it is of.
        student: Student's t interval; None for fewer than two pairs.
        bootstrap: the bootstrap's interval; None for fewer than two pairs.
        probability: two-sided, of a mean as far from 0 by chance (Student); 1 for fewer than two pairs.
        needed: how many pairs with this mean and scatter would put Student's interval above 0; None where the mean is
            not above 0, or nothing scatters.
    """

    mean: float
    pairs: int
    student: Interval | None
    bootstrap: Interval | None
    probability: float
    needed: int | None

    @property
    def shown(self) -> bool:
        """Whether the gain is significant: both confidence intervals are above 0."""
        return self.low > 0

    @property
    def low(self) -> float:
        """Lower end of the union of both intervals, nats; minus infinity without intervals."""
        if self.student is None or self.bootstrap is None:
            return -float("inf")
        return min(self.student.low, self.bootstrap.low)

    @property
    def high(self) -> float:
        """Upper end of the union of both intervals, nats."""
        if self.student is None or self.bootstrap is None:
            return float("inf")
        return max(self.student.high, self.bootstrap.high)


def paired_gain(values: Float[FloatArray, " pairs"], concepts: IntArray, level: float) -> PairedGain:
    """Mean, confidence intervals and p-value of one paired difference per pair.

    Args:
        values: nats, of at least one pair.
        concepts: ``[pairs]`` concept number of each.
        level: of the intervals, in (0, 1).
    """
    weights = pair_weights(concepts)
    mean, n = float(weights @ values), len(values)
    if n < 2:
        return PairedGain(mean, n, None, None, 1.0, None)
    stratified = bool(np.unique(concepts, return_counts=True)[1].min() > 1)
    groups = np.asarray(concepts if stratified else np.zeros_like(concepts), dtype=np.int64)
    degrees = n - len(np.unique(groups))
    if stratified:
        error = float(np.sqrt(np.square(mean_deviations(values[:, None], concepts)).sum()))
    else:
        error = float(np.sqrt(n / (n - 1) * np.square(weights * (values - mean)).sum()))
    quantile = float(stats.t.ppf((1 + level) / 2, degrees))
    known = max(error, np.finfo(np.float64).eps * float(np.abs(values).max()))
    chance = 1.0 if known == 0 else 2 * float(stats.t.sf(abs(mean) / known, degrees))
    student = Interval(mean - quantile * error, mean + quantile * error, level)
    needed = int(np.ceil(n * (quantile * error / mean) ** 2)) if mean > 0 and error > 0 else None
    return PairedGain(mean, n, student, _bootstrap(values, weights, groups, degrees, level), chance, needed)


def _bootstrap(values: FloatArray, weights: FloatArray, groups: IntArray, degrees: int, level: float) -> Interval:
    drawn = _drawn(groups.tobytes()) * weights
    means = drawn @ values / drawn.sum(axis=1)
    tail = float(stats.norm.cdf(-np.sqrt(len(values) / degrees) * stats.t.ppf((1 + level) / 2, degrees)))
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(low), float(high), level)


@lru_cache(maxsize=CACHED)
def _drawn(groups: bytes) -> FloatArray:
    """Bootstrap counts ``[DRAWS pairs]`` of each pair; the same draws serve every gain of the same pairs."""
    group_of = np.frombuffer(groups, dtype=np.int64)
    counts, rng = np.zeros((DRAWS, len(group_of))), np.random.default_rng(SEED)
    for group in np.unique(group_of):
        members = np.flatnonzero(group_of == group)
        counts[:, members] = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), size=DRAWS)
    return counts
