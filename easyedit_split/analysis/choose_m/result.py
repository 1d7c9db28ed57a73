"""Result record of ``recommend``: an m with its gain, cost and intervals, or the reason why there is none."""

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


UNTOLD = "it does not differ significantly from 0"
HOW_MUCH_UNTOLD = "that steering helps is significant, its best strength is not determined by these pairs"


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Result of ``recommend``: the chosen m, or the reason why there is none.

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
    """A recommendation without m, for the given reason.

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
    """Raise ConfigError unless the direction is known and the confidence level is in (0, 1).

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
    """The reason in its final wording, and whether m is the end of the sweep.

    Args:
        m: chosen.
        fine: what it was chosen among, sorted.
        reason: what limits it.
        m_interval: of it.
        untold: what an interval that reaches 0 means.
    """
    at_edge = bool(m < fine[1] or m > fine[-2])
    if at_edge:
        reason = "m is the end of the sweep: a wider sweep may find a better one"
    if m_interval is not None and m_interval.low <= 0 <= m_interval.high:
        reason += f"; the {100 * m_interval.level:g} % confidence interval of m contains 0: {untold}"
    return reason, at_edge


def not_significant(gain: float, m: float, interval: Interval) -> str:
    """Refusal text for a gain whose confidence interval contains zero.

    Args:
        gain: preference gained, nats.
        m: where.
        interval: confidence interval of the gain.
    """
    level = f"{100 * interval.level:g} % confidence"
    return f"the gain of {gain:.2f} nats at m = {m:.3g} is not significant: its {level} interval contains 0"
