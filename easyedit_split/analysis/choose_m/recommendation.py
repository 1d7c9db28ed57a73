"""What `recommend` answers: an m with what it gains and costs, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from ...types import ConfigError, FloatArray

Direction = Literal["raise", "lower"]
Aim = Literal["answer", "preference"]
AIMS: tuple[Aim, ...] = ("answer", "preference")
FINER = 32  # m looked at from one swept m to the next
ROUNDING = 1e-9  # of the sweep


@dataclass(frozen=True, slots=True)
class Interval:
    """Ends of an interval, and the coverage that was asked for."""

    low: float
    high: float
    level: float


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The chosen m, or why there is none.

    Attributes:
        m: None when no m is usable; reason: why not, or what limits m.
        gain: preference gained over m = 0 in the asked direction, nats; paid: utility lost against m = 0, nats
            (negative where utility rises).
        below_max: utility below its maximum over the sweep, nats; budget: what was allowed, nats; None without a limit.
        m_interval: of m, by `from_pairs` what the pairs do not tell from it, by `from_curves` what other versions of
            the curves choose; gain_interval, paid_interval: at this m. None where nothing says how the pairs vary.
        helped: of how many pairs preference rises at m, and of how many it was asked; None where there are no pairs.
        at_edge: m is the end of the sweep: a wider one may find better.
        method: of the intervals.
    """

    m: float | None
    reason: str
    gain: float
    paid: float
    below_max: float
    budget: float | None
    m_interval: Interval | None
    gain_interval: Interval | None
    paid_interval: Interval | None
    helped: tuple[int, int] | None
    at_edge: bool
    method: str | None


def nothing(reason: str, budget: float | None = None) -> Recommendation:
    """No usable m, for this reason."""
    nan = float("nan")
    text = f"no usable m: {reason}"
    return Recommendation(None, text, nan, nan, nan, budget, None, None, None, None, False, None)


def check_wish(direction: str, level: float) -> None:
    """Raise ConfigError unless the direction is known and the level a coverage."""
    if direction not in ("raise", "lower"):
        raise ConfigError(f"direction {direction!r} is unknown; use 'raise' or 'lower'.")
    if not 0 < level < 1:
        raise ConfigError(f"level is {level}; it must lie between 0 and 1, e.g. 0.95.")


def between(m: Float[FloatArray, " n"]) -> Float[FloatArray, " f"]:
    """Sorted swept m with `FINER` steps from each to the next, and 0; an m that is 0 but for rounding is 0."""
    m = np.where(np.abs(m) < ROUNDING * np.ptp(m), 0.0, m)
    share = np.arange(FINER) / FINER
    steps = (m[:-1, None] + share * np.diff(m)[:, None]).ravel()
    return np.union1d(np.append(steps, m[-1]), [0.0])


def worded(m: float, fine: Float[FloatArray, " f"], reason: str, m_interval: Interval | None) -> tuple[str, bool]:
    """The reason as it is given, and whether m is the end of the sweep."""
    at_edge = bool(m < fine[1] or m > fine[-2])
    if at_edge:
        reason = "the end of the sweep: a wider sweep may find better"
    if m_interval is not None and m_interval.low <= 0 <= m_interval.high:
        reason += (
            f"; the {100 * m_interval.level:g} % interval of m contains 0: these data do not tell it from no steering"
        )
    return reason, at_edge


def could_be_nothing(gain: float, m: float, interval: Interval) -> str:
    """The refusal of a gain whose interval reaches zero."""
    level = f"{100 * interval.level:g} %"
    return f"the gain of {gain:.2f} nats at m = {m:.3g} could be nothing: its {level} interval reaches 0"
