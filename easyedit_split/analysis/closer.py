"""A closer look: the grid of a second sweep, over the m at which utility is still near its maximum.

A sweep that shows the whole decay spans hundreds of nats of utility; an m is chosen within the first few. There a wide
grid has few points, and least squares over all of it spends its accuracy on the tails. Over the closer range of 30 nats
the default budget, a tenth of what was swept, is at most 3.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.interpolate import PchipInterpolator

from easyedit_split.types import DataError, FloatArray

WITHIN, POINTS, ENOUGH = 30.0, 31, 15


def near_range(
    m: Float[FloatArray, " n"], util: Float[FloatArray, " n"], within: float = WITHIN
) -> tuple[float, float]:
    """The smallest and largest m at which utility, between swept points, is at most ``within`` nats below its maximum.

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


def closer_grid(
    m: Float[FloatArray, " n"], util: Float[FloatArray, " n"], within: float = WITHIN, points: int = POINTS
) -> str | None:
    """The grid of a second sweep as ``start:stop:count``; None where the sweep already looks closely enough.

    Closely enough: at least `ENOUGH` swept points lie in `near_range`.
    """
    low, high = near_range(m, util, within)
    if ((m >= low) & (m <= high)).sum() >= ENOUGH:
        return None
    return f"{low:g}:{high:g}:{points}"


def _outwards(value: float) -> float:
    """Two significant digits, away from zero."""
    if value == 0.0:
        return 0.0
    unit = 10.0 ** (np.floor(np.log10(abs(value))) - 1)
    return float(np.sign(value) * np.ceil(abs(value) / unit - 1e-9) * unit)
