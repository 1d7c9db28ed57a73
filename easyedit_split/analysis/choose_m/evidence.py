"""Paired tests of an m against m = 0 on the same pairs, and the decision whether it steers at all.

    likelier      log p(wanted answer)                                    over all pairs
    preference    log-odds of the wanted answer against the other         over all pairs
    moved         log sigma(+-pref), its probability given either         over the pairs that can still move

A pair is certain, and counted apart, where the wanted answer's probability given either is above 1 - 0.001 both at 0
and at m: however its log-odds move, its answer does not. An m is usable where what gets likelier is the concept, not
the style of both answers alone: preference is shown to rise over all pairs, or ``moved`` over those that can still
move, each by both intervals of its ``PairedGain``. (Two chances to be wrong, but of one event: the benchmark counts how
often.) A refusal says what would change it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...types import FloatArray
from .interval import Interval
from .paired_gain import FEWEST, PairedGain, paired_gain
from .scored_pairs import ScoredPairs

CERTAIN = 1e-3
"""Nats that a certain pair's wanted answer has at most to gain."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Paired t-tests and bootstrap intervals of the gains at one m over m = 0, nats.

    Attributes:
        m: which m.
        likelier: log-probability of the wanted answer, over all pairs.
        preference: log-odds of the wanted answer against the other, over all pairs.
        moved: its log-probability given either answer, over the pairs that can still move; None where every pair is
            certain.
        certain: pairs that are counted apart.
        utility: what utility gains, over all pairs (negative: what it pays).
        helped: pairs whose preference rises.
    """

    m: float
    likelier: PairedGain
    preference: PairedGain
    moved: PairedGain | None
    certain: int
    utility: PairedGain
    helped: int

    @property
    def pairs(self) -> int:
        """Number of pairs in the tests."""
        return self.preference.pairs

    @property
    def about_the_concept(self) -> bool:
        """Whether preference significantly rises, over all pairs or over those not yet certain at m = 0."""
        return self.preference.shown or (self.moved is not None and self.moved.pairs >= FEWEST and self.moved.shown)

    def sentence(self) -> str:
        """How many pairs' preference m raises, as a sentence."""
        text = f"raises the preference of {self.helped} of {self.pairs} pairs"
        if not self.certain:
            return text
        return f"{text}; the wanted answers of {self.certain} are certain with and without steering"


def evidence_at(pairs: ScoredPairs, m: float, level: float) -> Evidence:
    """Paired tests of one m against m = 0, with scores interpolated between swept m.

    Args:
        pairs: over at least two swept m, 0 inside.
        m: inside the sweep.
        level: of the intervals.
    """
    at = np.array([0.0, m])
    pref, util, choice = (pairs.at(rows, at) for rows in (pairs.pref, pairs.util, pairs.choice_part))
    score = pairs.at(pairs.score, at)
    certain = (choice > -CERTAIN).all(axis=1)

    def gain(rows: FloatArray) -> PairedGain:
        return paired_gain(rows[:, 1] - rows[:, 0], pairs.concepts, level)

    moved = None
    if not certain.all():
        free = choice[~certain]
        moved = paired_gain(free[:, 1] - free[:, 0], pairs.concepts[~certain], level)
    gained = int((pref[:, 1] > pref[:, 0]).sum())
    return Evidence(m, gain(score), gain(pref), moved, int(certain.sum()), gain(util), gained)


def why_not(found: Evidence, level: float) -> str | None:
    """Reason why the gain at an m is not significant, and what would change that; None where it is.

    Args:
        found: what it does to the pairs.
        level: of the intervals.
    """
    m = f"m = {found.m:.3g}"
    if found.about_the_concept and found.pairs >= FEWEST:
        return None
    if found.preference.mean <= 0:
        return f"the wanted answers are likeliest at {m}, but the mean preference is no higher there than at m = 0"
    if found.pairs < FEWEST:
        return f"{found.pairs} pairs are too few for a paired test: sweep at least {FEWEST}"
    what = f"at {m} the mean preference gains {_amount(found.preference)}, which is not significant"
    style = "; both answers may have become likelier by their shared style alone" if found.likelier.shown else ""
    return f"{what}{style}; {_remedy(found.preference, level)}{_free(found)}"


def _free(found: Evidence) -> str:
    """Remark that nearly all pairs are certain at m = 0 and can hardly change, or an empty text."""
    free = 0 if found.moved is None else found.moved.pairs
    if free >= min(FEWEST, found.pairs - 1):
        return ""
    return f"; the model is certain of all but {free} of {found.pairs} pairs: pairs that it gets wrong would tell more"


def _amount(gain: PairedGain) -> str:
    return f"{gain.mean:.3g} nats{_ends(gain.student)}" if gain.student else f"{gain.mean:.3g} nats"


def _ends(interval: Interval | None) -> str:
    if interval is None:
        return ""
    return f" ({100 * interval.level:g} % confidence interval {interval.low:.3g} to {interval.high:.3g})"


def _remedy(gain: PairedGain, level: float) -> str:
    """Sample size or confidence level at which the gain would be significant."""
    needed = max(gain.needed or 0, gain.pairs + 1)
    text = f"with this mean and variance about {needed} pairs would make it significant (there are {gain.pairs})"
    reached = np.floor(100 * (1 - gain.probability)) / 100
    return f"{text}, or a confidence level of {reached:g}" if 0.5 <= reached < level else text
