"""Rise of utility away from m = 0, which means that the intervention learnt the style shared by both answers.

    rise(m) = mean over pairs, then concepts, of    util(m) - util(0)                                    nats

Utility is the probability of two given answers. Steering cannot make a model abler than it is, so where their
probability rises it is their writing that became likelier: words, length and layout that both answers share. That is
no loss, and no merit of the concept either; nor does utility above its bare value say that the text is still whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .interval import between
from .paired_gain import PairedGain, paired_gain
from .scored_pairs import ScoredPairs

LEAST = 1.0
"""Nats below which a rise is not worth a word."""


@dataclass(frozen=True, slots=True)
class Style:
    """Where utility is greatest, and its paired difference from m = 0 there.

    Attributes:
        m: of the greatest mean utility in the sweep.
        rise: over m = 0, over the pairs, nats.
        both_sides: whether utility rises by as much as is worth a word on both sides of 0.
    """

    m: float
    rise: PairedGain
    both_sides: bool

    @property
    def learnt(self) -> bool:
        """Whether the rise of utility is significant and large enough to report."""
        return self.rise.shown and self.rise.mean >= LEAST

    def sentence(self) -> str:
        """The rise of utility as a sentence; empty where it is not significant."""
        if not self.learnt:
            return ""
        where = "on both sides of 0, most at" if self.both_sides else "at"
        return (
            f"utility rises by {self.rise.mean:.1f} nats {where} m = {self.m:.3g}: the style that both answers share "
            "was learnt, which does not say that the text is good"
        )


def style_of(pairs: ScoredPairs, level: float = 0.95) -> Style | None:
    """Paired test of utility's maximum against m = 0; None where m = 0 is not inside the sweep.

    Args:
        pairs: over at least two swept m.
        level: of the rise's intervals.
    """
    if len(pairs.m) < 2 or not pairs.m[0] <= 0 <= pairs.m[-1]:
        return None
    m = between(pairs.m)
    util = pairs.at(pairs.util, m)
    zero, mean = int(np.searchsorted(m, 0.0)), pairs.weights @ util
    best = int(mean.argmax())
    rises = [float(side.max() - mean[zero]) for side in (mean[: zero + 1], mean[zero:])]
    rise = paired_gain(util[:, best] - util[:, zero], pairs.concepts, level)
    return Style(float(m[best]), rise, min(rises) >= LEAST)
