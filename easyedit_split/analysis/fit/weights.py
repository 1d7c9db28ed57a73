"""Weights of a fit by the spacing of m, so that points added by grid refinement do not dominate.

    w_j = 1 where spacing_j >= median spacing / 4, else spacing_j / median spacing;  scaled to a mean of 1

spacing_j is the mean gap to the point's neighbours (at an end, the one gap). On a grid that nobody refined every w is
1. A fit minimises sum w_j (y_j - curve(m_j))^2, and R2, RMSE and information criteria count points by w as well.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from ...types import FloatArray

CLOSE = 0.25  # of the median spacing; closer points share the weight of one


def spacing_weights(x: Float[FloatArray, " n"]) -> Float[FloatArray, " n"]:
    """Weights proportional to the spacing of sorted points, with mean 1.

    Args:
        x: sorted, distinct, any unit.
    """
    if len(x) < 3:
        return np.ones(len(x))
    gaps = np.diff(x)
    spacing = (np.append(gaps[0], gaps) + np.append(gaps, gaps[-1])) / 2
    typical = float(np.median(spacing))
    weights = np.where(spacing >= CLOSE * typical, 1.0, spacing / typical)
    return np.asarray(weights / weights.mean(), dtype=np.float64)
