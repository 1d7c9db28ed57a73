"""Choose the m whose generated texts a judge scores highest, by the mean over the same prompts.

    m* = argmax over judged m of the mean over prompts of overall(prompt, m),     0 to 2

Only judged m are chosen among. The interval holds every judged m whose texts these prompts do not tell from m*'s
(Student, prompt by prompt). An m is usable where the gain over the bare model's texts is shown (``paired_gain``). What
preference and utility do there is read off the sweep.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool
from scipy import stats

from ...types import DataError
from .beside import Collateral, JudgedTexts
from .budget import Budget
from .evidence import evidence_at
from .from_pairs import usable_m
from .interval import Interval
from .paired_gain import FEWEST, paired_gain
from .result import Recommendation, nothing, worded
from .scored_pairs import ScoredPairs
from .style import style_of


def from_texts(
    texts: JudgedTexts,
    pairs: ScoredPairs,
    *,
    budget: Budget | None = None,
    collateral: Collateral | None = None,
    level: float = 0.95,
) -> Recommendation:
    """Choose the m with the highest mean judge score of the generated texts.

    Args:
        texts: judged.
        pairs: of the sweep, over at least two m; it covers the judged m.
        budget: a limit on utility besides; None for none.
        collateral: a limit on side effects besides; None for none.
        level: of the intervals.

    Raises:
        DataError: texts were judged at an m beyond the sweep.
    """
    if texts.m[0] < pairs.m[0] or texts.m[-1] > pairs.m[-1]:
        judged, swept = (f"{m[0]:g} to {m[-1]:g}" for m in (texts.m, pairs.m))
        raise DataError(f"texts were judged from m = {judged}, the sweep covers {swept} only: extend the sweep.")
    style, prompts = style_of(pairs, level), np.zeros(len(texts.overall), dtype=np.int64)
    mean, zero = texts.overall.mean(axis=0), int(np.flatnonzero(texts.m == 0)[0])
    usable, allowed = usable_m(texts.m, pairs.weights @ pairs.at(pairs.util, texts.m), budget, collateral)
    best = int(np.where(usable, mean, -np.inf).argmax()) if usable.any() else zero
    m = float(texts.m[best])
    if best == zero:
        within = "" if budget is None and collateral is None else " within the budget"
        return nothing(f"no judged m{within} has better texts than m = 0", allowed, style=style)
    found = evidence_at(pairs, m, level)
    gain = paired_gain(texts.overall[:, best] - texts.overall[:, zero], prompts, level)
    if len(prompts) < FEWEST or not gain.shown:
        needed = max(FEWEST, gain.needed or 0, len(prompts) + 1)
        said = f"texts at m = {m:.3g} are better by {gain.mean:.2f} of 2, not significant over {len(prompts)} prompts"
        return nothing(f"{said}: judge about {needed}", evidence=found, style=style)
    ends = _as_good(texts, usable, best, level)
    reason, at_edge = worded(
        m, texts.m, f"texts are best here ({mean[best]:.2f} of 2, unsteered {mean[zero]:.2f})", ends
    )
    top = float((pairs.weights @ pairs.util).max())
    paid = found.utility.student
    return Recommendation(
        m=m,
        reason=reason,
        gain=found.preference.mean,
        paid=-found.utility.mean,
        below_max=top - float((pairs.weights @ pairs.at(pairs.util, np.array([m])))[0]),
        budget=allowed,
        m_interval=ends,
        gain_interval=found.preference.student,
        paid_interval=None if paid is None else Interval(-paid.high, -paid.low, level),
        helped=(found.helped, found.pairs),
        at_edge=at_edge,
        method="texts",
        evidence=found,
        style=style,
    )


def _as_good(texts: JudgedTexts, usable: Bool[np.ndarray, " k"], best: int, level: float) -> Interval:
    """Confidence interval of m: the least and greatest usable m not significantly worse than the best by a paired
    t-test.
    """
    behind = texts.overall[:, [best]] - texts.overall
    limit = stats.t.ppf((1 + level) / 2, len(behind) - 1) * stats.sem(behind, axis=0)
    as_good = texts.m[usable & (behind.mean(axis=0) <= limit)]
    return Interval(float(as_good[0]), float(as_good[-1]), level)
