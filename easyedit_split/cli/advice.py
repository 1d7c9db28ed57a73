"""Print recommendations of m: the chosen m with its evidence, and what every aim would choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table

from ..analysis import (
    AIMS,
    Aim,
    Budget,
    Collateral,
    Direction,
    Interval,
    JudgedTexts,
    Recommendation,
    SweepCurve,
    SweepFit,
    closer_points,
    recommend,
)
from ..types import ConfigError, DataError
from .console import out
from .labels import short_label

METHODS: dict[str, str] = {
    "pairs": "from the variance between pairs",
    "bootstrap": "from a bootstrap over pairs",
    "sandwich": "from the sandwich covariance over pairs",
    "residual": "from residuals: the table has no pairs",
    "texts": "from the variance between prompts",
}


def print_recommendations(found: Sequence[tuple[SweepFit, Recommendation]], wanted: Direction | None = "raise") -> None:
    """Print one line per sweep; below, names, reasons, the intervals' method and the pairs without utility.

    Args:
        found: sweeps and what was chosen.
        wanted: which answers were to be likeliest, so that a coarse sweep is told to look closer; None if none were.
    """
    shown = Table("#", "m", "preference gained (nats)", "utility (nats)", box=None)
    for number, (fit, choice) in enumerate(found, 1):
        if choice.m is None:
            shown.add_row(str(number), "no usable m", "", "")
            continue
        cells = (
            (_strength(fit.curve, choice.m), choice.m_interval),
            (f"{choice.gain:+.2f}", choice.gain_interval),
            (f"{-choice.paid:+.2f} {'gained' if choice.paid < 0 else 'paid'}", _negative(choice.paid_interval)),
        )
        shown.add_row(str(number), *(text + interval(ends) for text, ends in cells))
    out.print(shown)
    for number, (fit, choice) in enumerate(found, 1):
        reason = f": {choice.reason}" if choice.reason else ""
        out.print(f"#{number}, {short_label(fit.curve)}{reason}", soft_wrap=True)
        for line in remarks(fit, choice, wanted):
            out.print(f"    {line}", soft_wrap=True)


def _strength(curve: SweepCurve, m: float) -> str:
    """Text of m, and of r where it is known."""
    return f"{m:.3g}" + ("" if curve.r_per_m is None else f" (r {m * curve.r_per_m:.2g})")


def remarks(fit: SweepFit, choice: Recommendation, wanted: Direction | None) -> list[str]:
    """Notes on a recommendation: how many pairs it helps, style, intervals, excluded pairs, refinement of the grid.

    Args:
        fit: the sweep and its two curves.
        choice: the recommendation.
        wanted: the direction asked for; None where it is the usual one.
    """
    lines = []
    if choice.m is not None and choice.evidence is not None:
        lines.append(choice.evidence.sentence())
    if choice.style is not None and choice.style.learnt:
        lines.append(choice.style.sentence())
    if choice.method is not None and choice.m_interval is not None:
        lines.append(f"{100 * choice.m_interval.level:g} % confidence intervals {METHODS[choice.method]}")
    elif choice.m is not None:
        lines.append("no confidence interval of m: a concept has a single pair")
    if fit.curve.excluded:
        lines.append(left_out(fit.curve))
    if wanted is not None and fit.curve.preference.has_pairs and _wide_apart(fit.curve, choice, wanted):
        lines.append("the grid of m is coarse there: sweep again with --refine")
    return lines


def _wide_apart(curve: SweepCurve, choice: Recommendation, wanted: Direction) -> bool:
    """Whether the gap between the swept m around the chosen one is wider than its confidence interval."""
    if not closer_points(curve, wanted):
        return False
    if choice.m is None or choice.m_interval is None:
        return True
    m, ends = curve.preference.m, choice.m_interval
    below, above = m[m <= choice.m].max(), m[m >= choice.m].min()
    return bool(below < ends.low and ends.high < above)


def aims_of(
    fit: SweepFit,
    *,
    direction: Direction,
    level: float,
    collateral: Collateral | None,
    texts: JudgedTexts | None,
    budget: Budget | None = None,
) -> dict[Aim, Recommendation]:
    """Recommendation of every aim whose data are given, for one sweep.

    Args:
        fit: the sweep and its two curves.
        direction: ``raise`` or ``lower`` the preference.
        level: coverage of the confidence intervals, in (0, 1).
        collateral: side effects; None where none were measured.
        texts: judged texts; None where there are none.
        budget: utility that may be lost, under every aim; None for none named.
    """
    found: dict[Aim, Recommendation] = {}
    for aim in AIMS:
        try:
            limit = collateral if aim == "kl" else None  # what the others would choose without it
            found[aim] = recommend(
                fit, aim=aim, budget=budget, direction=direction, level=level, collateral=limit, texts=texts
            )
        except (ConfigError, DataError):
            continue  # it has not what it needs
    return found


def print_aims(
    sweeps: Sequence[Mapping[Aim, Recommendation]],
    chosen: Aim,
    collateral: Collateral | None,
    texts: JudgedTexts | None,
) -> None:
    """Print one line per sweep and aim: m, gain, cost, side effects, text quality and one text.

    Args:
        sweeps: from ``aims_of``, in the order in which the sweeps were printed.
        chosen: the aim whose m was recommended; it is marked.
        collateral: side effects; None where none were measured.
        texts: judged texts; None where there are none.
    """
    extra = [*(["KL (nats/token)"] if collateral else []), *(["text score (of 2)", "example text"] if texts else [])]
    shown = Table("#", "aim", "m", "preference (nats)", "utility (nats)", *extra, box=None)
    shown.title = "m chosen under each aim"
    for number, aims in enumerate(sweeps, 1):
        for aim, choice in aims.items():
            row = [str(number), f"{aim} *" if aim == chosen else aim]
            if choice.m is None:
                shown.add_row(*row, "none")
                continue
            row += [f"{choice.m:.3g}{interval(choice.m_interval)}", f"{choice.gain:+.2f}", f"{-choice.paid:+.2f}"]
            shown.add_row(*row, *_beside(choice.m, collateral, texts))
    out.print(shown)


def _beside(m: float, collateral: Collateral | None, texts: JudgedTexts | None) -> list[str]:
    """KL divergence, text quality and a text at the nearest m that has them."""
    cells = []
    if collateral is not None:
        kl = collateral.kl_at(m)
        cells.append("-" if kl is None else f"{kl:.3f}")
    if texts is not None:
        place = texts.nearest(m)
        cells += [f"{texts.overall[:, place].mean():.2f} (m = {texts.m[place]:.3g})", texts.samples[place]]
    return cells


def left_out(curve: SweepCurve) -> str:
    """A sentence on how many pairs are excluded because their utility is undefined.

    Args:
        curve: the sweep's curves.
    """
    pairs = len(curve.preference.values)
    return f"{len(curve.excluded)} of {pairs} pair(s) are left out of utility: it is undefined there at some m"


def interval(ends: Interval | None) -> str:
    """Text of a confidence interval, ``" [low, high]"``, or empty where there is none.

    Args:
        ends: a confidence interval, or None.
    """
    return "" if ends is None else f" [{ends.low:.3g}, {ends.high:.3g}]"


def _negative(ends: Interval | None) -> Interval | None:
    return None if ends is None else Interval(-ends.high, -ends.low, ends.level)
