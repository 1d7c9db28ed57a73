"""What ``recommend`` answers: an m with what it gains and costs, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float

from ...types import ConfigError, FloatArray
from .evidence import Evidence
from .interval import Interval
from .style import Style

Aim = Literal["capped", "answer", "preference", "kl", "text"]
AIMS: tuple[Aim, ...] = ("capped", "answer", "preference", "kl", "text")


UNTOLD = "these data do not tell it from no steering"
HOW_MUCH_UNTOLD = "these pairs show that it steers, not how strong is best"


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The chosen m, or why there is none.

    Attributes:
        m: None when no m is usable.
        reason: why not, or what limits m.
        gain: preference gained over m = 0 in the asked direction, nats.
        paid: utility lost against m = 0, nats (negative where utility rises).
        below_max: utility below its maximum over the sweep, nats.
        budget: utility that was allowed to be lost, nats; None without a limit.
        m_interval: confidence interval of m: by ``from_pairs`` what the pairs do not tell from it, by ``from_curves``
            what other versions of the curves choose; None where nothing says how the pairs vary.
        gain_interval: confidence interval of ``gain`` at this m, or None likewise.
        paid_interval: confidence interval of ``paid`` at this m, or None likewise.
        helped: of how many pairs preference rises at m, and of how many it was asked; None where there are no pairs.
        at_edge: m is the end of the sweep: a wider one may find better.
        method: of the intervals.
        evidence: the paired gains that the verdict rests on; None without pairs, or where no m was looked at.
        style: where utility is greatest, and by how much; None without pairs.
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
    evidence: Evidence | None = None
    style: Style | None = None


def nothing(
    reason: str, budget: float | None = None, *, evidence: Evidence | None = None, style: Style | None = None
) -> Recommendation:
    """No usable m, for this reason.

    Args:
        reason: goes on after "no usable m: ".
        budget: what was allowed, nats.
        evidence: of the m that was looked at.
        style: of the sweep.
    """
    nan = float("nan")
    text = f"no usable m: {reason}"
    return Recommendation(None, text, nan, nan, nan, budget, None, None, None, None, False, None, evidence, style)


def check_wish(direction: str, level: float) -> None:
    """Raise ConfigError unless the direction is known and the level a coverage.

    Args:
        direction: ``raise`` or ``lower``.
        level: coverage of the confidence intervals.

    Raises:
        ConfigError: another direction, or a level outside (0, 1).
    """
    if direction not in ("raise", "lower"):
        raise ConfigError(f"direction {direction!r} is unknown; use 'raise' or 'lower'.")
    if not 0 < level < 1:
        raise ConfigError(f"level is {level}; it must lie between 0 and 1, e.g. 0.95.")


def worded(
    m: float, fine: Float[FloatArray, " f"], reason: str, m_interval: Interval | None, untold: str = UNTOLD
) -> tuple[str, bool]:
    """The reason as it is given, and whether m is the end of the sweep.

    Args:
        m: chosen.
        fine: what it was chosen among, sorted.
        reason: what limits it.
        m_interval: of it.
        untold: what an interval that reaches 0 means.
    """
    at_edge = bool(m < fine[1] or m > fine[-2])
    if at_edge:
        reason = "the end of the sweep: a wider sweep may find better"
    if m_interval is not None and m_interval.low <= 0 <= m_interval.high:
        reason += f"; the {100 * m_interval.level:g} % interval of m reaches 0: {untold}"
    return reason, at_edge


def could_be_nothing(gain: float, m: float, interval: Interval) -> str:
    """The refusal of a gain whose interval reaches zero.

    Args:
        gain: preference gained, nats.
        m: where.
        interval: confidence interval of the gain.
    """
    level = f"{100 * interval.level:g} %"
    return f"the gain of {gain:.2f} nats at m = {m:.3g} could be nothing: its {level} interval reaches 0"
