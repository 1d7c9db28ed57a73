"""Pointwise confidence band of a fitted curve, and the share of the curve outside it.

A percentile band is made of refits to other pairs. Where most of them prefer another solution than the curve itself,
the band does not hold it: then neither is to be trusted there, and whoever draws them says so.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from ...types import FloatArray
from ..fit.fit_curve import CurveFit
from .ensemble import Ensemble
from .spread import Spread

FINE = 401
SLACK = 1e-6  # of the curve's range: what rounding leaves out is not left out


def versions_of(spread: Spread, fit: CurveFit) -> Ensemble | None:
    """Bootstrap draws or derivative steps of one fit in a ``Spread``; None where it was made without that fit.

    Args:
        spread: from ``spread_of``.
        fit: preference or utility.
    """
    return spread.preference if fit.kind == "preference" else spread.utility


def band(
    spread: Spread, fit: CurveFit, m: Float[FloatArray, " g"]
) -> tuple[Float[FloatArray, " g"], Float[FloatArray, " g"]] | None:
    """Pointwise confidence limits of the curve at m, nats; None where the spread was made without the fit.

    Args:
        spread: from ``spread_of``.
        fit: preference or utility.
        m: sorted.
    """
    versions = versions_of(spread, fit)
    return None if versions is None else spread.interval(versions.values(m), fit(m))


def left_out_by_band(spread: Spread, fit: CurveFit) -> float:
    """Share of the swept range over which the band does not contain the fitted curve, 0 to 1.

    Args:
        spread: from ``spread_of``.
        fit: preference or utility.
    """
    m = np.linspace(*fit.swept, FINE)
    ends = band(spread, fit, m)
    if ends is None:
        return 0.0
    y, slack = fit(m), SLACK * float(np.ptp(fit.y))
    return float(np.mean((y < ends[0] - slack) | (y > ends[1] + slack)))
