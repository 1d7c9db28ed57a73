"""The m at which the wanted answer is likeliest, from the pairs themselves.

    m* = argmax of the mean over pairs, then concepts, of    log p(wanted answer) = log sigma(+-pref) + log sigma(util)

By Eq. 7 and 8, sigma(util) is the probability that both answers share and sigma(pref) the wanted one's part of it; so
the score is minus the wanted answer's loss, held out. Preference counts for as long as it makes the wanted answer
likelier, and utility pays for it in the same nats: no budget is needed, and none is asked for unless one is given. Each
pair counts by itself: a pair that m has not turned yet weighs more than one that it turned long ago, which a curve of
means cannot show. Between the swept m, modified Akima interpolation; nothing is extrapolated.

The interval of m holds every m that these pairs do not tell from m*: whose score, pair by pair, is not lower by more
than t standard errors. (Where pairs are smooth in m that is more than an interval of that coverage needs; where m* may
jump from one peak to another, it is not.) An m is usable if it makes the wanted answers likelier than m = 0 does and
raises the preference of the pairs: the interval of the gain lies above 0, and more of them gain than chance would have
it (exact binomial test). Pairs whose utility is undefined somewhere are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats
from scipy.interpolate import Akima1DInterpolator

from ...sweep_curves import SweepCurve, mean_deviations, pair_weights
from ...types import FloatArray, IntArray
from .budget import Budget
from .recommendation import Direction, Interval, Recommendation, between, check_wish, could_be_nothing, nothing, worded


def wanted_log_p(pref: FloatArray, util: FloatArray, sign: float) -> FloatArray:
    """``log sigma(sign * pref) + log sigma(util)``, nats: the wanted answer's log-probability; any one shape."""
    return np.asarray(-np.logaddexp(0.0, -sign * pref) - np.logaddexp(0.0, -util), dtype=np.float64)


@dataclass(frozen=True)
class ScoredPairs:
    """The pairs that utility keeps: ``[pairs n]`` nats over ``[n]`` swept m; preference as wanted, up is good."""

    m: FloatArray
    score: FloatArray
    pref: FloatArray
    util: FloatArray
    concepts: IntArray

    @classmethod
    def of(cls, curve: SweepCurve, direction: Direction) -> ScoredPairs:
        """Scores of the pairs of a curve.

        Raises:
            DataError: utility is undefined for every pair.
        """
        utility, sign = curve.table("utility"), 1.0 if direction == "raise" else -1.0
        pref = curve.preference.values[curve.kept]
        score = wanted_log_p(pref, utility.values, sign)
        return cls(utility.m, score, sign * pref, utility.values, utility.concepts)

    @property
    def weights(self) -> Float[FloatArray, " pairs"]:
        """Of each pair in the mean over pairs, then concepts."""
        return pair_weights(self.concepts)

    @property
    def mean_score(self) -> Float[FloatArray, " n"]:
        """What m* maximises, at the swept m."""
        return self.weights @ self.score

    @property
    def degrees(self) -> int | None:
        """Pairs less concepts; None where a concept has a single pair, so that nothing says how its pairs scatter."""
        sizes = np.unique(self.concepts, return_counts=True)[1]
        return None if sizes.min() < 2 else int(sizes.sum() - len(sizes))

    def standard_error(self, values: Float[FloatArray, "pairs f"]) -> Float[FloatArray, " f"]:
        """Of the means over pairs, then concepts."""
        return np.asarray(np.sqrt(np.square(mean_deviations(values, self.concepts)).sum(axis=0)), dtype=np.float64)


def from_pairs(
    curve: SweepCurve, *, budget: Budget | None = None, direction: Direction = "raise", level: float = 0.95
) -> Recommendation:
    """Choose m where the wanted answers of a curve's pairs are likeliest.

    Args:
        curve: with pairs.
        budget: a limit on utility besides; None for none.
        direction: "raise" wants the positive answers, "lower" the negative ones.
        level: of the intervals (none where a concept has a single pair), and of what is beyond chance.

    Raises:
        ConfigError: unknown direction, level outside (0, 1).
        DataError: utility is undefined for every pair.
    """
    check_wish(direction, level)
    pairs = ScoredPairs.of(curve, direction)
    if len(pairs.m) < 2:
        return nothing("one swept m leaves nothing to choose from")
    if not pairs.m[0] <= 0 <= pairs.m[-1]:
        swept = f"{pairs.m[0]:g} to {pairs.m[-1]:g}"
        return nothing(f"the sweep covers {swept}, without m = 0, so no gain can be stated")
    fine = between(pairs.m)
    score, util = (_rows(pairs.m, rows, fine) for rows in (pairs.score, pairs.util))
    mean_score, mean_util = pairs.weights @ score, pairs.weights @ util
    allowed = None if budget is None else float(budget.allowed(mean_util[None])[0])
    usable = np.ones(len(fine), dtype=bool) if allowed is None else mean_util >= mean_util.max() - allowed
    best = int(np.where(usable, mean_score, -np.inf).argmax())
    m = float(fine[best])
    if m == 0.0:
        within = "" if budget is None else " within the budget"
        return nothing(f"no m{within} makes the wanted answers likelier than m = 0", allowed)
    found = effect_at(pairs, m, level)
    if refusal := _refusal(m, found, level):
        return nothing(refusal, allowed)
    m_interval = _told_apart(pairs, fine[usable], (score[:, [best]] - score)[:, usable], level)
    limited = bool(mean_score.max() > mean_score[best])
    reason = "likeliest within the utility budget" if limited else "the wanted answers are likeliest here"
    reason, at_edge = worded(m, fine, reason, m_interval)
    return Recommendation(
        m=m,
        reason=reason,
        gain=found.gain,
        paid=found.paid,
        below_max=float(mean_util.max() - mean_util[best]),
        budget=allowed,
        m_interval=m_interval,
        gain_interval=found.gain_interval,
        paid_interval=found.paid_interval,
        helped=found.helped,
        at_edge=at_edge,
        method=None if m_interval is None else "pairs",
    )


@dataclass(frozen=True, slots=True)
class Effect:
    """What an m does to the pairs, against m = 0; the names are those of `Recommendation`."""

    gain: float
    paid: float
    gain_interval: Interval | None
    paid_interval: Interval | None
    helped: tuple[int, int]


def effect_at(pairs: ScoredPairs, m: float, level: float) -> Effect:
    """Measured on the pairs, between swept m interpolated."""
    at = np.array([m, 0.0])
    pref, util = (_rows(pairs.m, rows, at) for rows in (pairs.pref, pairs.util))
    gains, losses = pref[:, 0] - pref[:, 1], util[:, 1] - util[:, 0]
    return Effect(
        float(pairs.weights @ gains),
        float(pairs.weights @ losses),
        _around(pairs, gains, level),
        _around(pairs, losses, level),
        (int((gains > 0).sum()), len(gains)),
    )


def _rows(m: FloatArray, rows: Float[FloatArray, "B n"], at: Float[FloatArray, " f"]) -> Float[FloatArray, "B f"]:
    return np.asarray(Akima1DInterpolator(m, rows, axis=1, method="makima")(at), dtype=np.float64)


def _told_apart(
    pairs: ScoredPairs, m: Float[FloatArray, " f"], behind: Float[FloatArray, "pairs f"], level: float
) -> Interval | None:
    """The outermost m whose score is not behind the best one's by more than chance."""
    if pairs.degrees is None:
        return None
    limit = stats.t.ppf((1 + level) / 2, pairs.degrees) * pairs.standard_error(behind)
    as_good = m[pairs.weights @ behind <= limit]
    return Interval(float(as_good[0]), float(as_good[-1]), level)


def _around(pairs: ScoredPairs, values: Float[FloatArray, " pairs"], level: float) -> Interval | None:
    """Student's interval of the mean."""
    if pairs.degrees is None:
        return None
    mean = float(pairs.weights @ values)
    half = float(stats.t.ppf((1 + level) / 2, pairs.degrees) * pairs.standard_error(values[:, None])[0])
    return Interval(mean - half, mean + half, level)


def _refusal(m: float, found: Effect, level: float) -> str | None:
    """Why the m of the likeliest answers is no steering; None where it is."""
    if found.gain <= 0:
        return f"the wanted answers are likeliest at m = {m:.3g}, but the preference for them is no higher there"
    few, many = found.helped
    if stats.binomtest(few, many, alternative="greater").pvalue > (1 - level) / 2:
        return f"m = {m:.3g} raises the preference of {few} of {many} pairs: chance could do as well"
    if found.gain_interval is not None and found.gain_interval.low <= 0:
        return could_be_nothing(found.gain, m, found.gain_interval)
    return None
