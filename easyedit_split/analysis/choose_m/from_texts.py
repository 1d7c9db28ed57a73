"""Choose the m at which the wanted answers are likeliest, among those whose generated texts score as well as the best.

    best      argmax over judged m of the mean over prompts of a judge's overall(prompt, m),     0 to 2
    as good   judged m whose texts fall behind the best one's by no more than one standard error (prompt by prompt)
    m*        argmax of the pairs' score (``from_pairs``) over what is as good, and between two neighbours that both are

A few texts tell what is ruined, pairs tell small differences: so texts say where m may lie, and pairs where in there.
The interval holds every judged m whose texts these prompts do not tell from the best (Student). An m is usable where
the gain over the bare model's texts is shown (``paired_gain``), or the pairs show that it steers (``evidence``).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from ...types import DataError, FloatArray
from .beside import Collateral, JudgedTexts
from .budget import Budget
from .evidence import evidence_at, why_not
from .from_pairs import usable_m
from .interval import Interval, between
from .paired_gain import FEWEST, PairedGain, paired_gain
from .result import Recommendation, nothing, worded
from .scored_pairs import ScoredPairs
from .style import Style, style_of

NOT_BY_TEXTS = "it is the pairs that tell it from no steering, not these texts"


def from_texts(
    texts: JudgedTexts,
    pairs: ScoredPairs,
    *,
    budget: Budget | None = None,
    collateral: Collateral | None = None,
    level: float = 0.95,
) -> Recommendation:
    """Choose m by the judge's scores of texts, and by pairs among those that score as well as the best.

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
    style, mean = style_of(pairs, level), texts.overall.mean(axis=0)
    fine = np.union1d(between(pairs.m), texts.m)
    usable, allowed = usable_m(fine, pairs.weights @ pairs.at(pairs.util, fine), budget, collateral)
    judged_usable = usable[np.searchsorted(fine, texts.m)]
    if not judged_usable.any():
        return nothing("no judged m is within the budget", allowed, style=style)
    best = int(np.where(judged_usable, mean, -np.inf).argmax())
    near = judged_usable & _behind(texts, best, 1.0)
    near[best] = True
    m = _likeliest(pairs, fine, usable & _enclosed(texts.m, near, fine), style)
    if m == 0:
        within = "" if budget is None and collateral is None else " within the budget"
        return nothing(f"no judged m{within} has better texts than m = 0", allowed, style=style)
    if refusal := _doubt(texts, pairs, m, level):
        return nothing(refusal, allowed, evidence=evidence_at(pairs, m, level), style=style)
    t = float(stats.t.ppf((1 + level) / 2, len(texts.overall) - 1))
    as_good = texts.m[judged_usable & (near | _behind(texts, best, t))]
    ends = Interval(float(min(as_good[0], m)), float(max(as_good[-1], m)), level)
    return _found(texts, pairs, m, ends, allowed, style, level)


def _behind(texts: JudgedTexts, best: int, errors: float) -> Bool[np.ndarray, " k"]:
    """Which judged m fall behind the best by no more than so many standard errors."""
    behind = texts.overall[:, [best]] - texts.overall
    scatter = behind.std(axis=0, ddof=1) / np.sqrt(len(behind)) if len(behind) > 1 else np.zeros(behind.shape[1])
    return np.asarray(behind.mean(axis=0) <= errors * scatter)


def _enclosed(
    judged: Float[FloatArray, " k"], near: Bool[np.ndarray, " k"], fine: Float[FloatArray, " f"]
) -> Bool[np.ndarray, " f"]:
    """Which m are judged as good, or lie between two neighbours that both are."""
    above = np.searchsorted(judged, fine).clip(max=len(judged) - 1)
    below = (np.searchsorted(judged, fine, side="right") - 1).clip(min=0)
    inside = (judged[0] <= fine) & (fine <= judged[-1])
    return np.asarray(inside & near[above] & near[below])


def _likeliest(
    pairs: ScoredPairs, fine: Float[FloatArray, " f"], usable: Bool[np.ndarray, " f"], style: Style | None
) -> float:
    """The usable m at which the wanted answers are likeliest, learnt style not counted where there is any."""
    score = pairs.capped if style is not None and style.learnt else pairs.likelihood
    return float(fine[np.where(usable, pairs.weights @ score(fine), -np.inf).argmax()])


def _gain(texts: JudgedTexts, m: float, level: float) -> PairedGain:
    """Of the judged texts nearest to m over the bare model's, 0 to 2."""
    one_group = np.zeros(len(texts.overall), dtype=np.int64)
    return paired_gain(texts.overall[:, texts.nearest(m)] - texts.overall[:, texts.nearest(0.0)], one_group, level)


def _doubt(texts: JudgedTexts, pairs: ScoredPairs, m: float, level: float) -> str | None:
    """Why neither texts nor pairs show that an m steers; None where either does."""
    count, gain = len(texts.overall), _gain(texts, m, level)
    unshown = why_not(evidence_at(pairs, m, level), level)
    if count >= FEWEST and (gain.shown or unshown is None):
        return None
    needed = max(FEWEST, gain.needed or 0, count + 1)
    said = f"texts at m = {m:.3g} are better by {gain.mean:.2f} of 2, not significant over {count} prompts"
    said = f"{said}: judge about {needed}"
    return said if unshown is None else f"{said}; nor do the pairs show it: {unshown}"


def _found(
    texts: JudgedTexts,
    pairs: ScoredPairs,
    m: float,
    ends: Interval,
    allowed: float | None,
    style: Style | None,
    level: float,
) -> Recommendation:
    found, mean = evidence_at(pairs, m, level), texts.overall.mean(axis=0)
    near, zero = texts.nearest(m), texts.nearest(0.0)
    what = (
        "texts are best here" if near == mean.argmax() else "texts are as good as the best, and the pairs choose here"
    )
    said = f"{what} ({mean[near]:.2f} of 2, unsteered {mean[zero]:.2f})"
    reason, at_edge = worded(m, between(texts.m), said, ends, NOT_BY_TEXTS)
    paid = found.utility.student
    return Recommendation(
        m=m,
        reason=reason,
        gain=found.preference.mean,
        paid=-found.utility.mean,
        below_max=float((pairs.weights @ pairs.util).max() - (pairs.weights @ pairs.at(pairs.util, np.array([m])))[0]),
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
