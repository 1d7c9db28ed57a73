"""Error bound of the interpolation of a curve between swept m.

    error(m) = 4 s (1 - s) / 2 x max |y_k - what its neighbours say of it|,     s = place of m in its gap, 0 to 1

The maximum is over the two ends k of the gap, each left out in turn and interpolated from the others: a gap twice as
wide as the real one. Half of what goes wrong there is what may go wrong in the real gap, even at a kink (a smooth curve
has a quarter or less). m = 0 is never left out: both sides meet there, and each is its own curve (Eq. 12). At a swept m
nothing is interpolated, and the error is 0.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.interpolate import Akima1DInterpolator

from ...types import FloatArray

SHARE = 0.5  # of the error of a gap twice as wide
FEWEST = 4  # points that leave enough once one is left out


def interpolation_error(
    m: Float[FloatArray, " n"], y: Float[FloatArray, " n"], at: Float[FloatArray, " f"]
) -> Float[FloatArray, " f"]:
    """Bound on the error of modified Akima interpolation of a curve, in y's unit; infinite for fewer than four points.

    Args:
        m: sorted swept m.
        y: the curve there.
        at: where it is read, inside the sweep.
    """
    if len(m) < FEWEST:
        return np.where(np.isin(at, m), 0.0, np.inf)
    missed = np.zeros(len(m))
    inner = [k for k in range(1, len(m) - 1) if m[k] != 0]
    for k in inner:
        rest = np.arange(len(m)) != k
        missed[k] = abs(float(Akima1DInterpolator(m[rest], y[rest], method="makima")(m[k])) - y[k])
    missed[0], missed[-1] = missed[1], missed[-2]
    gap = np.clip(np.searchsorted(m, at, side="right") - 1, 0, len(m) - 2)
    share = np.clip((at - m[gap]) / (m[gap + 1] - m[gap]), 0.0, 1.0)
    return np.asarray(SHARE * 4 * share * (1 - share) * np.maximum(missed[gap], missed[gap + 1]), dtype=np.float64)
