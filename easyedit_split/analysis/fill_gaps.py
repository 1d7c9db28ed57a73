"""Adaptive placement of sweep points: further m where the curves or the best m are still uncertain.

    c_k = |y_k - what the other points say of it| / (m_k+1 - m_k-1)^2           at inner points
    expected error of a gap of width w = 1/2 max(c at its ends, lower quartile of all c) (2 w)^2

A curve read off between its points is wrong by about its curvature times the gap's width squared; each point, left out
and interpolated from the others, says how large that is there. Every gap is expected to hide at least as much as the
quieter quarter of the curve. A gap is halved while the mean preference or utility may be off there by more than 3 % of
its range and 0.1 nats, or next to the best m the wanted answers' log-probability by more than 0.02 nats: the worst gaps
first, a few at a time, so that what is learnt from one guides the next.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.interpolate import Akima1DInterpolator

from ..sweep_curves import KINDS, SweepCurve, curves_of
from ..types import FloatArray
from .choose_m.scored_pairs import ScoredPairs

SHARE = 0.03  # of a curve's range
LEAST = 0.1  # nats; a smaller error of a mean curve is not worth a word
NEAR_BEST = 0.02  # nats
FEWEST = 5  # points that leave enough once one is left out
NARROWEST = 1e-3  # of the sweep
TOGETHER = 2
MOST = 41
"""Swept m beyond which no gap is halved."""


def expected_errors(m: Float[FloatArray, " n"], y: Float[FloatArray, " n"]) -> Float[FloatArray, " g"]:
    """How far a curve interpolated in each gap between its points may be off, in y's unit.

    Args:
        m: sorted swept m, at least five.
        y: the curve there.
    """
    inner = np.arange(1, len(m) - 1)
    bend = np.empty(len(m))
    for k in inner:
        rest = np.arange(len(m)) != k
        said = float(Akima1DInterpolator(m[rest], y[rest], method="makima")(m[k]))
        bend[k] = abs(said - y[k]) / (m[k + 1] - m[k - 1]) ** 2
    bend[0], bend[-1] = bend[1], bend[-2]
    least = float(np.quantile(bend[inner], 0.25))
    worst = np.maximum(np.maximum(bend[:-1], bend[1:]), least)
    return np.asarray(0.5 * worst * (2 * np.diff(m)) ** 2, dtype=np.float64)


def gaps_to_halve(curve: SweepCurve) -> tuple[float, ...]:
    """The middles of the most uncertain gaps of a swept curve, the worst first; none where all is certain enough.

    Args:
        curve: what was swept so far.
    """
    m = curve.preference.m
    if len(m) < FEWEST:
        return ()
    excess = np.zeros(len(m) - 1)
    for kind in KINDS:
        if kind == "utility" and curve.utility is None:
            continue
        y = curve.table(kind).mean
        excess = np.maximum(excess, expected_errors(m, y) / max(LEAST, SHARE * float(np.ptp(y))))
    if curve.utility is not None and m[0] <= 0 <= m[-1]:
        pairs = ScoredPairs.of(curve, "raise")
        best = int(pairs.mean_capped.argmax())
        near = [gap for gap in (best - 1, best) if 0 <= gap < len(excess)]
        excess[near] = np.maximum(excess[near], expected_errors(m, pairs.mean_score)[near] / NEAR_BEST)
    excess[np.diff(m) < NARROWEST * (m[-1] - m[0])] = 0.0
    order = np.argsort(-excess, kind="stable")[:TOGETHER]
    middles = (m[1:] + m[:-1]) / 2
    return tuple(float(middles[gap]) for gap in order if excess[gap] > 1)


@dataclass(frozen=True, slots=True)
class FillGaps:
    """Further m for ``sweep(next_points=...)``: the middles of gaps in which the curves are still uncertain.

    Attributes:
        most: swept m in all, beyond which there are none.
    """

    most: int = MOST

    def __call__(self, table: pd.DataFrame) -> tuple[tuple[float, float], ...]:
        """The next m of each curve as ``(m, m)``; none once all are certain enough.

        Args:
            table: the sweep so far.

        Raises:
            DataError: the table is no sweep.
        """
        found = dict.fromkeys(m for curve in curves_of(table) for m in gaps_to_halve(curve))
        room = max(0, self.most - int(table["m1"].nunique()))
        return tuple((m, m) for m in list(found)[:room])
