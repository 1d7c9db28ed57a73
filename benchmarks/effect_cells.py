"""Evaluate one cell of the effect table: the best m within a limit on the loss of utility.

Accuracy is that of the package (`log_odds.credit`: a tie counts half), on the instrument's own resolution: answers
within EVEN nats of each other count as a tie, so that a faint tilt of every open prompt is not taken for steering.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit

from easyedit_split.analysis import curves_of, near_range
from easyedit_split.log_odds import credit
from easyedit_split.types import DataError

BUDGET = 0.15  # of the swept range
NEAR = 20.0  # nats of utility that the close sweep covers
CLOSE = 24  # its points on either side of zero
ALLOWED = (1.0, 2.0, 3.0, 5.0, 10.0)  # nats, for the last lines
RISE = 3.0
ACCURACY = 0.9
EVEN = 0.1  # nats: answers closer than this are even, and count as half right

# In units of the largest training factor; the curve's ends are far beyond where utility breaks down.
MULTIPLES = (0, 0.1, 0.3, 0.5, 0.75, 1, 1.5, 2, 4, 10)


@dataclass(frozen=True)
class Cell:
    """One cell of the effect table; ``passed_at`` tells for each allowed utility loss whether it would pass."""

    model: str
    dataset: str
    form: str
    objective: str
    placement: str
    kind: str  # trained, or random with its draw
    m: float
    rise: float
    allowed: float  # nats of utility
    lost: float
    accuracy_before: float
    accuracy: float
    share_before: float
    share: float
    passed: bool
    passed_far: bool
    passed_at: tuple[bool, ...]

    @property
    def counted(self) -> bool:
        """Whether the cell is a trained one that is expected to steer."""
        return self.kind == "trained" and self.objective != "diff_mean" and self.placement == "block_output"


def far_grid(reach: float) -> list[float]:
    """Wide grid of m, from -10 to 10 times the reach, dense near zero."""
    ups = [reach * multiple for multiple in MULTIPLES]
    return sorted({-m for m in ups} | set(ups))


def close_grid(far: pd.DataFrame) -> list[float]:
    """Fine grid of m where utility is near its best, dense near zero: m = end (k / CLOSE)^2."""
    curve = means(far)
    ends = near_range(curve.index.to_numpy(), curve.util.to_numpy(), NEAR)
    squares = np.square(np.arange(CLOSE + 1) / CLOSE)
    return sorted({float(m) for end in ends for m in end * squares + 0.0})


def means(table: pd.DataFrame) -> pd.DataFrame:
    """Mean preference and utility (nats), share of right answers and their mean probability, at each m."""
    (curve,) = curves_of(table)
    if curve.utility is None:
        raise DataError("utility is undefined for all pairs")
    values, weights = curve.preference.values, curve.preference.weights
    right = weights @ credit(values, EVEN)
    columns = {"pref": curve.preference.mean, "util": curve.utility.mean, "right": right}
    return pd.DataFrame(columns | {"share": weights @ expit(values)}, index=pd.Index(curve.preference.m, name="m"))


def best_within(curve: pd.DataFrame, nats: float, persona: bool) -> tuple[float, bool]:
    """The best m within a limit on the loss of utility, and whether it passes."""
    allowed = curve[curve.util >= curve.util.max() - nats]
    if persona:  # the goal is the share of right answers
        best = allowed.sort_values(["right", "pref"]).iloc[-1]
        return float(best.name), bool(best.right >= ACCURACY)
    best = allowed.loc[allowed.pref.idxmax()]
    return float(best.name), bool(best.pref - curve.pref[0.0] >= RISE)


def measure(close: pd.DataFrame, far: pd.DataFrame, **labels: str) -> Cell:
    """The best m of a fine sweep within the utility limit, from means over pairs."""
    curve, whole, persona = means(close), means(far), labels["dataset"] == "persona"
    allowed = BUDGET * float(np.ptp(curve.util))
    m, passed = best_within(curve, allowed, persona)
    zero, best = curve.loc[0.0], curve.loc[m]
    return Cell(
        **labels,
        m=m,
        rise=float(best.pref - zero.pref),
        allowed=allowed,
        lost=float(curve.util.max() - best.util),
        accuracy_before=float(zero.right),
        accuracy=float(best.right),
        share_before=float(zero.share),
        share=float(best.share),
        passed=passed,
        passed_far=best_within(whole, BUDGET * float(np.ptp(whole.util)), persona)[1],
        passed_at=tuple(best_within(curve, nats, persona)[1] for nats in ALLOWED),
    )
