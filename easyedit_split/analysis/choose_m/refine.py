"""Grid refinement: further m to sweep near the maximum of the wanted answers' log-probability.

The score is that of the aim "capped": what utility rises by does not draw the eye.

A sweep that shows the whole decay spans hundreds of nats of utility; the m to use lies within the first few, where such
a grid has few points.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.interpolate import PchipInterpolator

from ...sweep_curves import SweepCurve, curves_of
from ...types import DataError, FloatArray
from .interval import Direction
from .scored_pairs import ScoredPairs

WITHIN = 30.0  # nats
CLOSE_ENOUGH = 0.01  # nats
EACH_SIDE = 4
NARROWEST = 1e-5  # of the sweep


def near_range(
    m: Float[FloatArray, " n"], util: Float[FloatArray, " n"], within: float = WITHIN
) -> tuple[float, float]:
    """Smallest and largest m at which interpolated utility is at most ``within`` nats below its maximum.

    Args:
        m: swept factors, sorted, at least two.
        util: utility log-odds there, nats.
        within: nats.

    Returns:
        ``(low, high)``, rounded outwards to two digits where they lie inside the sweep; 0 is never left out.

    Raises:
        DataError: fewer than two points.
    """
    if len(m) < 2:
        raise DataError(f"{len(m)} swept m cannot show where utility falls; sweep at least two.")
    fine = np.union1d(np.linspace(m[0], m[-1], 20_001), m)
    curve = PchipInterpolator(m, util)(fine)
    kept = fine[curve >= curve.max() - within]
    low, high = min(float(kept[0]), 0.0), max(float(kept[-1]), 0.0)
    return max(_outwards(low), float(min(m[0], 0.0))), min(_outwards(high), float(max(m[-1], 0.0)))


def closer_points(curve: SweepCurve, direction: Direction = "raise") -> tuple[float, ...]:
    """Further m to sweep between the best swept m and its neighbours.

    None are left once both neighbours score within 0.01 nats of the best, so ``sweep(next_points=look_closer)`` ends;
    none either where utility is undefined for every pair, or with a single swept m.

    Args:
        curve: what was swept so far.
        direction: which answers are wanted.
    """
    if curve.utility is None:
        return ()
    pairs = ScoredPairs.of(curve, direction)
    m, score = pairs.m, pairs.mean_capped
    best = int(score.argmax())
    sides = [near for near in (best - 1, best + 1) if 0 <= near < len(m)]
    wide = [near for near in sides if abs(m[near] - m[best]) > NARROWEST * (m[-1] - m[0])]
    if not any(score[best] - score[near] > CLOSE_ENOUGH for near in wide):
        return ()
    steps = np.arange(1, EACH_SIDE + 1) / (EACH_SIDE + 1)
    return tuple(sorted(float(m[best] + (m[near] - m[best]) * step) for near in wide for step in steps))


def look_closer(table: pd.DataFrame, direction: Direction = "raise") -> tuple[tuple[float, float], ...]:
    """Further m near the best one of each curve, for ``sweep(next_points=...)``.

    Where m2 is not m1, it goes from one swept m1 to the next in a straight line.

    Args:
        table: the sweep so far.
        direction: ``raise`` or ``lower`` the preference.

    Raises:
        DataError: the table is no sweep, or an m1 comes with several m2.
    """
    points = dict.fromkeys(m for curve in curves_of(table) for m in closer_points(curve, direction))
    known = table.drop_duplicates("m1").sort_values("m1")
    second = known["m2"] if "m2" in known else known["m1"]
    return tuple((m, m if second.equals(known["m1"]) else float(np.interp(m, known["m1"], second))) for m in points)


def _outwards(value: float) -> float:
    """Round to two significant digits, away from zero."""
    if value == 0.0:
        return 0.0
    unit = 10.0 ** (np.floor(np.log10(abs(value))) - 1)
    return float(np.sign(value) * np.ceil(abs(value) / unit - 1e-9) * unit)
