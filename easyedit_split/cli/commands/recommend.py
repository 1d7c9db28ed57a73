"""``easyedit-split recommend``: which m? The one at which the wanted answers are likeliest, with an error bar."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer
from rich.table import Table

from ...analysis import (
    AIMS,
    Aim,
    Budget,
    Direction,
    FitError,
    Interval,
    Recommendation,
    Spread,
    SweepCurve,
    SweepFit,
    closer_points,
    fit_sweep,
    read_curves,
    spread_of,
)
from ...analysis import recommend as choose
from ...analysis.choose_m.recommendation import nothing
from ...types import ConfigError, DataError
from ..console import bar, out
from ..labels import short_label

EPILOG = """Example: easyedit-split recommend power.parquet

Example: easyedit-split recommend power.parquet --budget 10%"""
METHODS: dict[str, str] = {
    "pairs": "from the scatter between pairs",
    "bootstrap": "from a bootstrap over pairs",
    "sandwich": "from the sandwich formula over pairs",
    "residual": "from residuals: the table has no pairs",
}


def command(  # noqa: DOC101, DOC103
    sweeps: Annotated[list[Path], typer.Argument(help="Tables that `sweep` wrote, or any with m1, pref and util.")],
    budget: Annotated[
        str | None,
        typer.Option(help="As much preference as this loss of utility buys: 10% of its swept range, or 2.5nats."),
    ] = None,
    aim: Annotated[
        str | None,
        typer.Option(help="answer: where the wanted answers are likeliest (default); preference: what --budget buys."),
    ] = None,
    direction: Annotated[str, typer.Option(help="raise or lower the preference.")] = "raise",
    level: Annotated[float, typer.Option(help="Coverage of the intervals.")] = 0.95,
) -> None:
    """Recommend an m, with its interval, the preference gained and the utility paid; or say why there is none."""
    allowed = None if budget is None else Budget.parse(budget)
    if direction not in ("raise", "lower"):
        raise ConfigError(f"--direction {direction}: allowed are raise and lower")
    if aim is None:
        aim = "answer" if allowed is None else "preference"
    if aim not in AIMS:
        raise ConfigError(f"--aim {aim}: allowed are {' and '.join(AIMS)}")
    if not 0 < level < 1:
        raise ConfigError(f"--level {level:g}: it must lie between 0 and 1, e.g. 0.95")
    way = cast(Direction, direction)
    fits = fit_sweep(read_curves(sweeps), keep_going=True)
    found: list[tuple[SweepFit, Recommendation]] = []
    refused: list[FitError | DataError] = []
    with bar("intervals") as advance:
        for done, fit in enumerate(fits, 1):
            try:
                choice = recommend_fit(fit, aim=aim, budget=allowed, direction=way, level=level)
            except (DataError, FitError) as error:
                refused.append(error)
                choice = nothing(str(error))
            found.append((fit, choice))
            advance(done, len(fits))
    if len(refused) == len(fits) == 1:
        raise refused[0]
    print_recommendations(found, way if aim == "answer" else None)
    if len(refused) == len(fits):
        raise ConfigError("no curve could be used; the reasons stand above")


def recommend_fit(
    fit: SweepFit,
    *,
    aim: Aim = "answer",
    budget: Budget | None = None,
    direction: Direction = "raise",
    level: float = 0.95,
    spread: Spread | None = None,
) -> Recommendation:
    """The recommendation for one fitted sweep; what is chosen on curves gets its confidence intervals from ``spread``.

    Args:
        fit: the sweep and its two curves.
        aim: ``answer`` or ``preference``.
        budget: loss of utility that may be paid; its default where None.
        direction: ``raise`` or ``lower`` the preference.
        level: coverage of the confidence intervals, in (0, 1).
        spread: how the curves vary; computed where None.

    Raises:
        FitError: curves are needed and could not be fitted.
        DataError: utility is undefined for every pair, or curves are needed and a concept has a single pair.
    """
    if aim == "preference" or not fit.curve.preference.has_pairs:
        if fit.preference is None or fit.utility is None:
            raise FitError(" ".join(fit.problems) or f"{short_label(fit.curve)}: not fitted")
        spread = spread or spread_of(fit.curve, fit.preference, fit.utility, level=level)
    return choose(fit, aim=aim, budget=budget, direction=direction, level=level, spread=spread)


def print_recommendations(found: list[tuple[SweepFit, Recommendation]], wanted: Direction | None = "raise") -> None:
    """One line per sweep; below, names, reasons, what the intervals rest on and what utility left out.

    Args:
        found: sweeps and what was chosen.
        wanted: which answers were to be likeliest, so that a coarse sweep is told to look closer; None if none were.
    """
    shown = Table("#", "m", "preference gained (nats)", "utility paid (nats)", box=None)
    for number, (_, choice) in enumerate(found, 1):
        if choice.m is None:
            shown.add_row(str(number), "no usable m", "", "")
            continue
        cells = (
            (f"{choice.m:.3g}", choice.m_interval),
            (f"{choice.gain:+.2f}", choice.gain_interval),
            (f"{choice.paid:+.2f}", choice.paid_interval),
        )
        shown.add_row(str(number), *(text + interval(ends) for text, ends in cells))
    out.print(shown)
    for number, (fit, choice) in enumerate(found, 1):
        reason = f": {choice.reason}" if choice.reason else ""
        out.print(f"#{number}, {short_label(fit.curve)}{reason}", soft_wrap=True)
        for line in remarks(fit, choice, wanted):
            out.print(f"    {line}", soft_wrap=True)


def remarks(fit: SweepFit, choice: Recommendation, wanted: Direction | None) -> list[str]:
    """Notes on a recommendation: how many pairs it helps, its intervals, pairs left out, whether to look closer.

    Args:
        fit: the sweep and its two curves.
        choice: the recommendation.
        wanted: the direction asked for; None where it is the usual one.
    """
    lines = []
    if choice.helped is not None:
        lines.append("raises the preference of {} of {} pairs".format(*choice.helped))
    if choice.method is not None and choice.m_interval is not None:
        lines.append(f"{100 * choice.m_interval.level:g} % intervals {METHODS[choice.method]}")
    elif choice.m is not None:
        lines.append("no intervals: a concept has a single pair")
    if fit.curve.excluded:
        lines.append(left_out(fit.curve))
    if wanted is not None and fit.curve.preference.has_pairs and closer_points(fit.curve, wanted):
        lines.append("the swept m lie wide apart there; to look closer, sweep anew with --refine")
    return lines


def left_out(curve: SweepCurve) -> str:
    """How many pairs utility does not count, as a sentence.

    Args:
        curve: the sweep's curves.
    """
    pairs = len(curve.preference.values)
    return f"utility leaves out {len(curve.excluded)} of {pairs} pair(s): it is undefined there at some m"


def interval(ends: Interval | None) -> str:
    """``" [low, high]"``, or nothing.

    Args:
        ends: a confidence interval, or None.
    """
    return "" if ends is None else f" [{ends.low:.3g}, {ends.high:.3g}]"
