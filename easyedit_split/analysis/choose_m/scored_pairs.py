"""Log-probability of the wanted answer of each pair, split into preference and utility terms, over m.

    log p(wanted answer) = C + U,      C = log sigma(+-pref),   U = log sigma(util)                       Eq. 7, 8, nats

U is the log-probability that one of the pair's two answers is given, C the wanted one's part of it. Two scores of an m
are made of them, each ``[pairs m]``; at m = 0 they are equal:

    likelihood    C(m) + U(m)
    capped        C(m) + U(m) - U(m'),      m' = where the mean U is greatest on the way from 0 to m

U rises where the writing of both answers is learnt, which says nothing of the concept: under the capped score such a
rise counts nothing, while what U has fallen since its height counts in full. Where U only falls the two are one score.
Between swept m, modified Akima interpolation; nothing is extrapolated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.interpolate import Akima1DInterpolator

from ...log_odds import mean_deviations, pair_weights
from ...sweep_curves import SweepCurve
from ...types import FloatArray, IntArray
from .interval import Direction


def log_sigma(odds: FloatArray) -> FloatArray:
    """Log of the logistic function, ``log(1 / (1 + e^-odds))``, nats, without overflow; any one shape.

    Args:
        odds: log-odds, nats.
    """
    return np.asarray(-np.logaddexp(0.0, -odds), dtype=np.float64)


def wanted_log_p(pref: FloatArray, util: FloatArray, sign: float) -> FloatArray:
    """Log-probability of the wanted answer, ``log sigma(sign * pref) + log sigma(util)``, nats; any one shape.

    Args:
        pref: preference log-odds, nats.
        util: utility log-odds, nats.
        sign: +1 where the positive answer is wanted, -1 where the negative one is.
    """
    return log_sigma(sign * pref) + log_sigma(util)


@dataclass(frozen=True)
class ScoredPairs:
    """Pairs with defined utility over the swept m; preference is signed so that greater is better.

    Attributes:
        m: ``[n]`` swept, sorted.
        pref: ``[pairs n]`` log-odds of the wanted answer against the other, nats.
        util: ``[pairs n]`` log-odds of either answer against all else, nats.
        concepts: ``[pairs]`` concept number of each pair.
    """

    m: FloatArray
    pref: FloatArray
    util: FloatArray
    concepts: IntArray

    @classmethod
    def of(cls, curve: SweepCurve, direction: Direction) -> ScoredPairs:
        """Scored pairs of one curve.

        Args:
            curve: with pairs.
            direction: which answers are wanted.

        Raises:
            DataError: utility is undefined for every pair.
        """
        utility, sign = curve.table("utility"), 1.0 if direction == "raise" else -1.0
        return cls(utility.m, sign * curve.preference.values[curve.kept], utility.values, utility.concepts)

    @property
    def choice_part(self) -> Float[FloatArray, "pairs n"]:
        """C: log-probability of the wanted answer, given that one of the two is given, nats."""
        return log_sigma(self.pref)

    @property
    def either_part(self) -> Float[FloatArray, "pairs n"]:
        """U: log-probability that one of the two answers is given, nats."""
        return log_sigma(self.util)

    @property
    def score(self) -> Float[FloatArray, "pairs n"]:
        """The wanted answer's log-probability, nats."""
        return self.choice_part + self.either_part

    @property
    def weights(self) -> Float[FloatArray, " pairs"]:
        """Weight ``[pairs]`` of each pair in the mean over pairs, then concepts."""
        return pair_weights(self.concepts)

    @property
    def mean_score(self) -> Float[FloatArray, " n"]:
        """Mean log-probability of the wanted answers at the swept m, nats."""
        return self.weights @ self.score

    @property
    def degrees(self) -> int | None:
        """Degrees of freedom, pairs less concepts; None where a concept has one pair, so that no variance can be
        estimated.
        """
        sizes = np.unique(self.concepts, return_counts=True)[1]
        return None if sizes.min() < 2 else int(sizes.sum() - len(sizes))

    @property
    def mean_capped(self) -> Float[FloatArray, " n"]:
        """Mean capped score: log-probability of the wanted answers less any rise of the utility term, nats."""
        either = self.weights @ self.either_part
        return self.weights @ self.choice_part + either - either[heights(either, int(np.abs(self.m).argmin()))]

    def standard_error(self, values: Float[FloatArray, "pairs f"]) -> Float[FloatArray, " f"]:
        """Standard error of means over pairs, then concepts.

        Args:
            values: any numbers of the pairs; every concept has at least two of them.
        """
        return np.asarray(np.sqrt(np.square(mean_deviations(values, self.concepts)).sum(axis=0)), dtype=np.float64)

    def at(self, rows: Float[FloatArray, "pairs n"], m: Float[FloatArray, " f"]) -> Float[FloatArray, "pairs f"]:
        """Modified Akima interpolation of rows over the swept m.

        Args:
            rows: numbers of each pair at the swept m.
            m: inside the sweep.
        """
        return np.asarray(Akima1DInterpolator(self.m, rows, axis=1, method="makima")(m), dtype=np.float64)

    def likelihood(self, m: Float[FloatArray, " f"]) -> Float[FloatArray, "pairs f"]:
        """Log-probability of each wanted answer at given m, nats, interpolated.

        Args:
            m: sorted, inside the sweep, 0 among them.
        """
        return self.at(self.score, m)

    def capped(self, m: Float[FloatArray, " f"]) -> Float[FloatArray, "pairs f"]:
        """Capped score: log-probability of each wanted answer less any rise of the mean utility term, nats.

        Args:
            m: sorted, inside the sweep, 0 among them.
        """
        choice, either = self.at(self.choice_part, m), self.at(self.either_part, m)
        return choice + either - either[:, heights(self.weights @ either, int(np.searchsorted(m, 0.0)))]


def heights(curve: Float[FloatArray, " f"], zero: int) -> IntArray:
    """Index of the running maximum from the point ``zero`` outward to each point.

    Args:
        curve: any numbers.
        zero: where the way begins, on both sides.
    """
    out = np.empty(len(curve), dtype=np.int64)
    for side in (np.arange(zero, len(curve)), np.arange(zero, -1, -1)):
        best = np.maximum.accumulate(curve[side])
        new = np.concatenate([[True], best[1:] > best[:-1]])
        out[side] = side[np.maximum.accumulate(np.where(new, np.arange(len(side)), 0))]
    return out
