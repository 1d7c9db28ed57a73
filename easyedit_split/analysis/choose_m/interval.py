"""Confidence intervals, the direction of steering, and the refined grid of m that a choice is made on."""

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
    """A confidence interval and its nominal coverage.

    Attributes:
        low: lower end.
        high: upper end.
        level: coverage, e.g. 0.95.
    """

    low: float
    high: float
    level: float


def between(m: Float[FloatArray, " n"]) -> Float[FloatArray, " f"]:
    """Swept m, sorted, refined by ``FINER`` steps in each gap and with 0 added.

    Args:
        m: swept m, sorted.
    """
    m = np.where(np.abs(m) < ROUNDING * np.ptp(m), 0.0, m)
    share = np.arange(FINER) / FINER
    steps = (m[:-1, None] + share * np.diff(m)[:, None]).ravel()
    return np.union1d(np.append(steps, m[-1]), [0.0])
