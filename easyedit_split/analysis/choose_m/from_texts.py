"""The m whose texts are best: the greatest mean, over the same prompts, of a judge's harmonic mean.

    m* = argmax over judged m of the mean over prompts of overall(prompt, m),     0 to 2

Only judged m are chosen among. The interval holds every judged m whose texts these prompts do not tell from m*'s
(Student, prompt by prompt). An m is usable where the gain over the bare model's texts is shown (``paired_gain``). What
preference and utility do there is read off the sweep.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from ...types import DataError
from .beside import JudgedTexts
from .evidence import evidence_at
from .interval import Interval
from .paired_gain import FEWEST, paired_gain
from .recommendation import Recommendation, nothing, worded
from .scored_pairs import ScoredPairs
from .style import style_of


def from_texts(texts: JudgedTexts, pairs: ScoredPairs, *, level: float = 0.95) -> Recommendation:
    """Choose m where texts are best.

    Args:
        texts: judged.
        pairs: of the sweep, over at least two m; it covers the judged m.
        level: of the intervals.

    Raises:
        DataError: texts were judged at an m beyond the sweep.
    """
    if texts.m[0] < pairs.m[0] or texts.m[-1] > pairs.m[-1]:
        judged, swept = (f"{m[0]:g} to {m[-1]:g}" for m in (texts.m, pairs.m))
        raise DataError(f"texts were judged from m = {judged}, the sweep covers {swept} only: sweep as far.")
    style, prompts = style_of(pairs, level), np.zeros(len(texts.overall), dtype=np.int64)
    mean, zero = texts.overall.mean(axis=0), int(np.flatnonzero(texts.m == 0)[0])
    best = int(mean.argmax())
    m = float(texts.m[best])
    if best == zero:
        return nothing("no judged m writes better texts than m = 0", style=style)
    found, gain = (
        evidence_at(pairs, m, level),
        paired_gain(texts.overall[:, best] - texts.overall[:, zero], prompts, level),
    )
    if len(prompts) < FEWEST or not gain.shown:
        needed = max(FEWEST, gain.needed or 0, len(prompts) + 1)
        said = f"texts at m = {m:.3g} are better by {gain.mean:.2f} of 2, which {len(prompts)} prompts do not show"
        return nothing(f"{said}: judge about {needed}", evidence=found, style=style)
    behind = texts.overall[:, [best]] - texts.overall
    limit = stats.t.ppf((1 + level) / 2, len(prompts) - 1) * stats.sem(behind, axis=0)
    as_good = texts.m[behind.mean(axis=0) <= limit]
    ends = Interval(float(as_good[0]), float(as_good[-1]), level)
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
        budget=None,
        m_interval=ends,
        gain_interval=found.preference.student,
        paid_interval=None if paid is None else Interval(-paid.high, -paid.low, level),
        helped=(found.helped, found.pairs),
        at_edge=at_edge,
        method="texts",
        evidence=found,
        style=style,
    )
