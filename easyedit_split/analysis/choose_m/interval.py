"""Intervals, the side that is wanted, and the m between swept ones at which a choice is looked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from ...types import FloatArray

Direction = Literal["raise", "lower"]
FINER = 32  # m looked at from one swept m to the next
ROUNDING = 1e-9  # of the sweep


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval with the coverage that was asked for.

    Attributes:
        low: lower end.
        high: upper end.
        level: coverage, e.g. 0.95.
    """

    low: float
    high: float
    level: float


def between(m: Float[FloatArray, " n"]) -> Float[FloatArray, " f"]:
    """Sorted swept m with ``FINER`` steps from each to the next, and 0; an m that is 0 but for rounding is 0.

    Args:
        m: swept m, sorted.
    """
    m = np.where(np.abs(m) < ROUNDING * np.ptp(m), 0.0, m)
    share = np.arange(FINER) / FINER
    steps = (m[:-1, None] + share * np.diff(m)[:, None]).ravel()
    return np.union1d(np.append(steps, m[-1]), [0.0])
