"""Choose the m with the greatest mean log-probability of the wanted answers, from the scored pairs themselves.

    m* = argmax of the mean over pairs, then concepts, of a score of ``ScoredPairs``

    aim "capped"    log p(wanted answer); where style was learnt, what utility rises by is left out, and the least
                    strength within 0.01 nats of the best is taken
    aim "answer"    log p(wanted answer)
    aim "kl"        log p(wanted answer), among the m whose side effects stay within a budget (``Collateral``)

The score is minus the wanted answer's loss, held out. Preference counts for as long as it makes the wanted answer
likelier, and utility pays for it in the same nats: no budget is needed, and none is asked for unless one is given. Each
pair counts by itself: a pair that m has not turned yet weighs more than one that it turned long ago, which a curve of
means cannot show.

The interval of m holds every m from 0 outwards that these pairs do not tell from m*: whose score, pair by pair, is not
lower by more than t standard errors and what interpolation may be off by. (Where pairs are smooth in m that is more
than an interval of that coverage needs; where m* may jump from one peak to another, it is not.) That m steers at all,
and to which side, is for ``evidence`` to say; so the interval may reach 0. Pairs whose utility is undefined somewhere
are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from ...sweep_curves import SweepCurve
from ...types import FloatArray
from .beside import Collateral
from .budget import Budget
from .evidence import evidence_at, why_not
from .interpolation import interpolation_error
from .interval import Direction, Interval, between
from .result import HOW_MUCH_UNTOLD, Aim, Recommendation, check_wish, nothing, worded
from .scored_pairs import ScoredPairs
from .style import style_of

AS_GOOD = 0.01
"""Nats that no reader would notice."""


@dataclass(frozen=True, slots=True)
class PairAim:
    """Objective, limits and confidence level of a choice on pairs.

    Attributes:
        score: of each pair over sorted m, nats.
        sparing: whether the least strength is taken of those that score within ``AS_GOOD`` of the best.
    """

    score: Callable[[ScoredPairs, FloatArray], FloatArray]
    sparing: bool


PAIR_AIMS: Mapping[Aim, PairAim] = MappingProxyType(
    {
        "capped": PairAim(ScoredPairs.capped, True),
        "answer": PairAim(ScoredPairs.likelihood, False),
        "kl": PairAim(ScoredPairs.likelihood, False),
    }
)


def from_pairs(
    curve: SweepCurve,
    *,
    aim: Aim = "capped",
    budget: Budget | None = None,
    collateral: Collateral | None = None,
    direction: Direction = "raise",
    level: float = 0.95,
) -> Recommendation:
    """Choose the m with the greatest mean log-probability of a curve's wanted answers.

    Args:
        curve: with pairs.
        aim: a key of ``PAIR_AIMS``.
        budget: a limit on utility besides; None for none.
        collateral: a limit on side effects besides; None for none.
        direction: "raise" wants the positive answers, "lower" the negative ones.
        level: of the intervals (of m there is none where a concept has a single pair), and of what is beyond chance.

    Raises:
        ConfigError: unknown direction, level outside (0, 1).
        DataError: utility is undefined for every pair.
    """
    check_wish(direction, level)
    pairs, rule = ScoredPairs.of(curve, direction), PAIR_AIMS[aim]
    if few := _too_little(pairs.m):
        return nothing(few)
    style, fine = style_of(pairs, level), between(pairs.m)
    if rule.sparing and (style is None or not style.learnt):
        rule = PAIR_AIMS["answer"]  # nothing to leave out
    score, mean_util = rule.score(pairs, fine), pairs.weights @ pairs.at(pairs.util, fine)
    mean_score = pairs.weights @ score
    usable, allowed = usable_m(fine, mean_util, budget, collateral)
    best = _best(fine, mean_score, usable, rule.sparing)
    m = float(fine[best])
    if mean_score[best] <= mean_score[np.searchsorted(fine, 0.0)] + AS_GOOD:
        return nothing(_none_better(pairs, limits=not (budget is None and collateral is None)), allowed, style=style)
    if refusal := why_not(found := evidence_at(pairs, m, level), level):
        return nothing(refusal, allowed, evidence=found, style=style)
    side, lost = usable & (fine * m >= 0), score[:, [best]] - score
    m_interval = _told_apart(pairs, fine[side], lost[:, side], np.interp(pairs.m, fine, mean_score), level)
    said = _said(bool(mean_score.max() > mean_score[best] + AS_GOOD), rule.sparing)
    top = int(np.where(usable, mean_score, -np.inf).argmax())
    reason, at_edge = worded(_reached(pairs.m, fine, m, top), fine, said, m_interval, HOW_MUCH_UNTOLD)
    return Recommendation(
        m=m,
        reason=reason,
        gain=found.preference.mean,
        paid=-found.utility.mean,
        below_max=float(mean_util.max() - mean_util[best]),
        budget=allowed,
        m_interval=m_interval,
        gain_interval=found.preference.student,
        paid_interval=_negative(found.utility.student),
        helped=(found.helped, found.pairs),
        at_edge=at_edge,
        method=None if m_interval is None else "pairs",
        evidence=found,
        style=style,
    )


def _reached(swept: Float[FloatArray, " n"], fine: Float[FloatArray, " f"], m: float, top: int) -> float:
    """The end of the sweep where the best m is within rounding of it, else m itself."""
    ended = top in (0, len(fine) - 1) and abs(m) > abs(swept[1 if top == 0 else -2])
    return float(fine[top]) if ended else m


def usable_m(
    m: Float[FloatArray, " f"], util: Float[FloatArray, " f"], budget: Budget | None, collateral: Collateral | None
) -> tuple[Bool[np.ndarray, " f"], float | None]:
    """Mask of the m within the limits, and the allowed loss of utility, nats (None without a limit).

    Args:
        m: any m.
        util: mean utility there, nats.
        budget: a limit on utility; None for none.
        collateral: a limit on side effects; None for none.
    """
    allowed = None if budget is None else float(budget.allowed(util[None])[0])
    usable = np.ones(len(m), dtype=bool) if allowed is None else util >= util.max() - allowed
    return usable if collateral is None else usable & collateral.within(m), allowed


def _none_better(pairs: ScoredPairs, limits: bool) -> str:
    within = " within the budget" if limits else ""
    return f"no m{within} makes the wanted answers likelier than m = 0{_nearer(pairs)}"


def _too_little(m: Float[FloatArray, " n"]) -> str | None:
    """Reason why these swept m allow no choice; None where they do."""
    if len(m) < 2:
        return "the sweep has a single m: nothing to choose from"
    if not m[0] <= 0 <= m[-1]:
        return f"the sweep covers {m[0]:g} to {m[-1]:g}, without m = 0, so no gain over m = 0 is known: sweep it too"
    return None


def _said(limited: bool, without_style: bool) -> str:
    """Reason why an m is recommended, as a sentence."""
    said = (
        "the wanted answers are likeliest here, within the budget"
        if limited
        else "the wanted answers are likeliest here"
    )
    return f"{said}, the rise of utility by learnt style not counted" if without_style else said


def _best(
    m: Float[FloatArray, " f"], score: Float[FloatArray, " f"], usable: Bool[np.ndarray, " f"], sparing: bool
) -> int:
    """Index of the m with the best score, or of the smallest |m| of that sign with practically the same score."""
    score = np.where(usable, score, -np.inf)
    best = int(score.argmax())
    if not sparing or m[best] == 0:
        return best
    as_good = (score >= score[best] - AS_GOOD) & (m * m[best] > 0)
    places = np.flatnonzero(as_good)
    return int(places[np.abs(m[places]).argmin()])


def _nearer(pairs: ScoredPairs) -> str:
    """Advice to sweep m nearer to 0, where the smallest swept m already lose much."""
    zero = int(np.abs(pairs.m).argmin())
    sides = [k for k in (zero - 1, zero + 1) if 0 <= k < len(pairs.m)]
    lost = [float(pairs.mean_score[zero] - pairs.mean_score[k]) for k in sides]
    if min(lost) < 1.0:
        return ""
    told = " and ".join(f"{loss:.3g} nats at m = {pairs.m[k]:g}" for k, loss in zip(sides, lost, strict=True))
    return f"; their mean log-probability falls by {told}: sweep nearer to 0"


def _told_apart(
    pairs: ScoredPairs,
    m: Float[FloatArray, " f"],
    behind: Float[FloatArray, "pairs f"],
    swept: Float[FloatArray, " n"],
    level: float,
) -> Interval | None:
    """Confidence interval of m: outermost m not significantly worse than the chosen one by a paired test.

    Args:
        pairs: over the swept m.
        m: to be told from the chosen one, which is among them.
        behind: the chosen m's score less each one's, nats.
        swept: mean score at the swept m, nats.
        level: of the interval.
    """
    if pairs.degrees is None:
        return None
    off = interpolation_error(pairs.m, swept, m)
    chosen = int(np.abs(behind).max(axis=0).argmin())
    limit = stats.t.ppf((1 + level) / 2, pairs.degrees) * pairs.standard_error(behind) + off + off[chosen]
    as_good = m[pairs.weights @ behind <= limit]
    return Interval(float(as_good[0]), float(as_good[-1]), level)


def _negative(interval: Interval | None) -> Interval | None:
    return None if interval is None else Interval(-interval.high, -interval.low, interval.level)
