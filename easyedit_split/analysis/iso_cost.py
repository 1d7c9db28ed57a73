"""Interventions at equal cost: what each gains where all have cost the same, paired over pairs.

    m*      = the largest m >= 0 at which the mean cost is within the budget, between swept m in a straight line
    gain    = mean over pairs of  pref(m*) - pref(0)                                                          nats
    cost    = utility lost, util(0) - util(m), mean over the same pairs;  or KL per token on neutral prompts

Bootstrap: pairs are drawn anew within each concept, the same draws for all interventions, and where the cost is of the
pairs m* is found anew in each draw; so differences between interventions are paired. Percentile intervals. Where the
mean cost stays within the budget up to the end of the sweep, m* is that end, and said to be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..log_odds import pair_weights
from ..types import DataError, FloatArray, IntArray
from .choose_m.interval import Interval

DRAWS, SEED, LEVEL = 2000, 0, 0.95


@dataclass(frozen=True)
class Costed:
    """Gains and costs over m >= 0 of one intervention.

    Attributes:
        m: ``[k]`` sorted, beginning with 0.
        gain: ``[pairs k]`` over m = 0, in the unit of what is gained.
        cost: ``[pairs k]`` or ``[k]`` over m = 0; the latter where it is not of the pairs.
        concepts: ``[pairs]`` concept number of each.
    """

    m: FloatArray
    gain: FloatArray
    cost: FloatArray
    concepts: IntArray

    def __post_init__(self) -> None:
        if len(self.m) < 2 or self.m[0] != 0 or (np.diff(self.m) <= 0).any():
            raise DataError("gains at equal cost need m = 0 and greater m, sorted, each once")


@dataclass(frozen=True, slots=True)
class AtCost:
    """What one intervention gains at a given cost.

    Attributes:
        m: where the cost is reached.
        at_end: the sweep ends before.
        gain: mean over pairs, then concepts.
        interval: of the gain; None for fewer than two pairs.
    """

    m: float
    at_end: bool
    gain: float
    interval: Interval | None


class EqualCost:
    """Gains of several interventions on the same pairs at equal cost.

    Args:
        costed: at least one, all of the same pairs in the same order.
        budget: the cost, in its unit.
        draws: bootstrap samples.

    Raises:
        DataError: interventions of different pairs.
    """

    def __init__(self, costed: dict[str, Costed], budget: float, draws: int = DRAWS) -> None:
        first = next(iter(costed.values()))
        for one in costed.values():
            if not np.array_equal(one.concepts, first.concepts):
                raise DataError("gains at equal cost are compared over the same pairs: sweep the same ones")
        self.budget = budget
        weights = pair_weights(first.concepts)[None]
        self._drawn = _draws(first.concepts, draws)
        self._mean = {name: _at_budget(one, weights, budget) for name, one in costed.items()}
        self._samples = {name: _at_budget(one, self._drawn, budget)[1] for name, one in costed.items()}
        self._costed = costed
        self._many = len(first.concepts) > 1

    def of(self, name: str) -> AtCost:
        """What one of them gains.

        Args:
            name: of an intervention.
        """
        m, gain = self._mean[name]
        end = bool(m[0] >= self._costed[name].m[-1])
        return AtCost(float(m[0]), end, float(gain[0]), _interval(self._samples[name]) if self._many else None)

    def difference(self, name: str, reference: str) -> tuple[float, Interval | None]:
        """How much more one of them gains than another, with its paired interval.

        Args:
            name: of an intervention.
            reference: of the other.
        """
        mean = float(self._mean[name][1][0] - self._mean[reference][1][0])
        samples = self._samples[name] - self._samples[reference]
        return mean, _interval(samples) if self._many else None

    def samples(self, name: str) -> FloatArray:
        """Gains ``[draws]`` of the bootstrap, in the same draws for all.

        Args:
            name: of an intervention.
        """
        return self._samples[name]


def interpolated(m: float, points: FloatArray, rows: Float[FloatArray, "pairs k"]) -> Float[FloatArray, " pairs"]:
    """Values of each row at one m, between points in a straight line, at the nearest beyond them.

    Args:
        m: any.
        points: ``[k]`` sorted.
        rows: values at these.
    """
    return np.array([np.interp(m, points, row) for row in rows], dtype=np.float64)


def _interval(samples: FloatArray) -> Interval:
    low, high = np.quantile(samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high), LEVEL)


def _draws(concepts: IntArray, draws: int) -> Float[FloatArray, "B pairs"]:
    """Weights of the pairs in each bootstrap sample: drawn anew within each concept, concepts counting alike."""
    rng = np.random.default_rng(SEED)
    weights = np.zeros((draws, len(concepts)))
    groups = np.unique(concepts)
    for concept in groups:
        members = np.flatnonzero(concepts == concept)
        counts = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), size=draws)
        weights[:, members] = counts / (len(members) * len(groups))
    return weights


def _at_budget(one: Costed, weights: Float[FloatArray, "B pairs"], budget: float) -> tuple[FloatArray, FloatArray]:
    """m* and the gain there, ``[B]`` each, for each set of weights of the pairs."""
    cost = weights @ one.cost if one.cost.ndim == 2 else np.broadcast_to(one.cost, (len(weights), len(one.m)))
    gain = weights @ one.gain
    within = cost <= budget + 1e-12 * (1 + abs(budget))
    within[:, 0] = True  # at m = 0 nothing is paid
    last = within.shape[1] - 1 - within[:, ::-1].argmax(1)
    after = np.minimum(last + 1, within.shape[1] - 1)
    rows = np.arange(len(weights))
    before_cost, after_cost = cost[rows, last], cost[rows, after]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(after > last, (budget - before_cost) / (after_cost - before_cost), 0.0)
    share = np.clip(np.nan_to_num(share), 0.0, 1.0)
    m = one.m[last] + share * (one.m[after] - one.m[last])
    return m, gain[rows, last] + share * (gain[rows, after] - gain[rows, last])
