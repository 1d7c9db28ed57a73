"""``easyedit-split fit``: fit the paper's curves to sweeps; a table on the screen, JSON for programs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, cast, get_args

import typer
from rich.table import Table

from ...analysis import (
    CurveFit,
    PairOdds,
    Spread,
    SweepFit,
    fit_sweep,
    fits_json,
    lack_of_fit,
    read_curves,
    regions_of,
    smooth_curve,
)
from ...analysis.fit.fit_curve import Solver
from ...registry import nearest
from ...storage import write_whole
from ...sweep_curves import KINDS
from ...types import ConfigError
from ..advice import interval, left_out
from ..console import bar, out, say, say_written
from ..labels import short_label
from ..options import OverwriteOption
from ..output_paths import check_file
from .plot import vary

EPILOG = "Example: easyedit-split fit power.parquet --out fit.json"
SPARE = 2  # points beyond the parameters; with no more a fit is not tested by its points


def command(  # noqa: DOC101, DOC103
    sweeps: Annotated[list[Path], typer.Argument(help="Tables that `sweep` wrote, or any with m1, pref and util.")],
    solver: Annotated[str, typer.Option(help="least_squares, or slsqp as in the paper.")] = "least_squares",
    to: Annotated[Path | None, typer.Option("--out", help="Also write the fits as JSON.")] = None,
    intervals: Annotated[
        bool,
        typer.Option("--intervals", help="Also write 95 % confidence intervals of slopes, breakdown m and borders."),
    ] = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Fit validity decay to preference and utility (Eq. 12, 15, 17): R2, parameters, slopes, regions."""
    chosen = parse_solver(solver)
    if intervals and to is None:
        raise ConfigError("--intervals are written with the fits: name a file, e.g. --out fit.json")
    if to is not None:
        check_file(to, overwrite)
    fits = fit_sweep(read_curves(sweeps), solver=chosen, keep_going=True)
    print_fits(fits)
    if to is not None:
        text = fits_json(fits, spreads_of(fits) if intervals else None) + "\n"
        write_whole(to, lambda path: _write(path, text))
        say_written(f"{len(fits)} curve(s)", to)
    if not any(fit.preference or fit.utility for fit in fits):
        raise ConfigError("no curve could be fitted; see the reasons above")


def spreads_of(fits: list[SweepFit]) -> list[Spread | None]:
    """Bootstrap or sandwich uncertainty of each fit; None, with a message, where neither can be computed.

    Args:
        fits: fitted sweeps.
    """
    found: list[Spread | None] = []
    with bar("intervals") as advance:
        for done, item in enumerate(fits, 1):
            found.append(vary(item, "without intervals"))
            advance(done, len(fits))
    return found


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")


def parse_solver(name: str) -> Solver:
    """The solver selected by name.

    Args:
        name: what was asked for.

    Raises:
        ConfigError: unknown.
    """
    if name not in get_args(Solver):
        raise ConfigError(f"unknown solver {name!r}{nearest(name, get_args(Solver))}")
    return cast(Solver, name)


def print_fits(fits: list[SweepFit]) -> None:
    """Print two lines per sweep, preference and utility: quality, then parameters; below, warnings and excluded pairs.

    Args:
        fits: fitted sweeps.
    """
    rows = [
        (str(n), fit, item.curve.table(kind))
        for n, item in enumerate(fits, 1)
        for kind in KINDS
        if (fit := item.fit(kind)) is not None
    ]
    slopes_of = ("slope 0-", "slope 0+", "smooth")
    quality = Table("#", "kind", "R2", "misses", "points", "params", *slopes_of, box=None)
    shape = Table("#", "kind", "m+", "L+", "p+", "m-", "L-", "p-", box=None)
    for number, fit, table in rows:
        p, found = fit.params, regions_of(fit)
        counts = (str(len(fit.m)), str(fit.n_params))
        slopes = (number_text(found.slope_left, "+.3g"), number_text(found.slope_right, "+.3g"), smooth_slope(table))
        quality.add_row(number, fit.kind, f"{fit.r2:.4f}", missed(fit, table), *counts, *slopes)
        sides = (p.m_plus, p.L_plus, p.p_plus, p.m_minus, p.L_minus, p.p_minus)
        shape.add_row(number, fit.kind, *(number_text(value, ".3g") for value in sides))
    out.print(quality)
    out.print(shape)
    for n, item in enumerate(fits, 1):
        out.print(f"#{n}: {short_label(item.curve)}", soft_wrap=True)
        for problem in item.problems:
            say(problem, "yellow")
        for fit in (item.preference, item.utility):
            for warning in [] if fit is None else [*warnings_of(fit), *misfits_of(fit, item.curve.table(fit.kind))]:
                say(f"#{n} {warning}", "yellow")
        if item.curve.excluded:
            say(f"#{n}: {left_out(item.curve)}")


def missed(fit: CurveFit, table: PairOdds) -> str:
    """Root mean square error of a fit, nats; starred where the lack of fit is significant.

    Args:
        fit: one fitted curve.
        table: its pairs.
    """
    found = lack_of_fit(fit, table)
    return f"{fit.rmse:.3g}{' *' if found is not None and found.found else ''}"


def smooth_slope(table: PairOdds) -> str:
    """Slope at 0 of the smoothing spline; a dash where there is none.

    Args:
        table: pairs over m.
    """
    smooth = smooth_curve(table)
    return "-" if smooth is None else f"{smooth.slope:+.3g}"


def misfits_of(fit: CurveFit, table: PairOdds) -> list[str]:
    """Significant lack of fit of the curve, and slope and linear region of the smoothing spline.

    Args:
        fit: one fitted curve.
        table: its pairs.
    """
    found, smooth = lack_of_fit(fit, table), smooth_curve(table)
    if found is None or not found.found:
        return []
    lines = [f"{fit.kind}: the curve {', '.join(part.sentence() for part in found.found)}"]
    if smooth is not None and found.slopes_are_wrong:
        left, right = smooth.linear_ends
        ends = " to ".join("the end of the sweep" if end is None else f"{end:.3g}" for end in (left, right))
        slope = f"{smooth_slope(table)}{interval(smooth.slope_interval)}"
        lines.append(f"{fit.kind}: use the smoothing spline's slope at 0, {slope}, and its linear region, {ends}")
    return lines


def number_text(value: float, form: str) -> str:
    """A number as text, or a dash where it is undefined because that sign of m was not swept.

    Args:
        value: any float.
        form: a format specification.
    """
    return "-" if math.isnan(value) else format(value, form)


def warnings_of(fit: CurveFit) -> list[str]:
    """Reasons not to trust a fit's R2 or parameters.

    Args:
        fit: one fitted curve.
    """
    lines = []
    if len(fit.m) <= fit.n_params + SPARE:
        what = f"{len(fit.m)} points for {fit.n_params} parameters"
        lines.append(f"{fit.kind}: {what}: R2 is not informative; sweep more m")
    if fit.at_bound:
        lines.append(f"{fit.kind}: ended on a bound of the search: {', '.join(map(symbol, fit.at_bound))}")
    if fit.trade_offs:
        groups = "; ".join(" ~ ".join(map(symbol, group)) for group in fit.trade_offs)
        lines.append(f"{fit.kind}: not separately identifiable: {groups}")
    return lines


def symbol(name: str) -> str:
    """A parameter's name as the table heads it: ``L_plus`` is L+.

    Args:
        name: the parameter's name in code.
    """
    return name.replace("_plus", "+").replace("_minus", "-")
