"""What `recommend` answers: an m with what it gains and costs, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Direction = Literal["raise", "lower"]
Aim = Literal["answer", "preference"]
AIMS: tuple[Aim, ...] = ("answer", "preference")


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
        m_interval: of the choice, made anew for each draw of the pairs or version of the curves; gain_interval,
            paid_interval: at this m. None where nothing says how the pairs vary.
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


def worded(
    m: float, swept: tuple[float, float], tolerance: float, reason: str, m_interval: Interval | None
) -> tuple[str, bool]:
    """The reason as it is given, and whether m is the end of the sweep."""
    at_edge = min(m - swept[0], swept[1] - m) < tolerance
    if at_edge:
        reason = "the end of the sweep: a wider sweep may find better"
    if m_interval is not None and m_interval.low <= 0 <= m_interval.high:
        reason += f"; the {100 * m_interval.level:g} % interval of m contains 0: other pairs may choose no steering"
    return reason, at_edge
