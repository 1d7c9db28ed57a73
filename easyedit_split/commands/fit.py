"""`easyedit-split fit`: the paper's curves fitted to sweeps; a table on the screen, JSON for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast, get_args

import typer
from rich.table import Table

from ..analysis import SweepFit, fit_sweep, fits_json, read_curves, regions_of
from ..analysis.fit import Solver
from ..registry import nearest
from ..storage import write_whole
from ..types import ConfigError
from .common import out, say, say_written, short_label
from .options import OverwriteOption
from .places import check_file

EPILOG = "Example: easyedit-split fit power.parquet --out fit.json"


def command(
    sweeps: Annotated[list[Path], typer.Argument(help="Tables that `sweep` wrote, or any with m1, pref and util.")],
    solver: Annotated[str, typer.Option(help="least_squares, or slsqp as in the paper.")] = "least_squares",
    to: Annotated[Path | None, typer.Option("--out", help="Also write the fits as JSON.")] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Fit validity decay to preference and utility (Eq. 12, 15, 17): R2, parameters, slope, regions."""
    chosen = parse_solver(solver)
    if to is not None:
        check_file(to, overwrite)
    fits = fit_sweep(read_curves(sweeps), solver=chosen, keep_going=True)
    print_fits(fits)
    if to is not None:
        text = fits_json(fits) + "\n"
        write_whole(to, lambda path: _write(path, text))
        say_written(f"{len(fits)} curve(s)", to)
    if not any(fit.preference or fit.utility for fit in fits):
        raise ConfigError("no curve could be fitted; the reasons stand above")


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")


def parse_solver(name: str) -> Solver:
    """A solver by name.

    Raises:
        ConfigError: unknown.
    """
    if name not in get_args(Solver):
        raise ConfigError(f"unknown solver {name!r}{nearest(name, get_args(Solver))}")
    return cast(Solver, name)


def print_fits(fits: list[SweepFit]) -> None:
    """Two lines per sweep, preference and utility; names, problems and left-out pairs below."""
    shown = Table("#", "kind", "R2", "slope at 0+", "m+", "L+", "p+", "m-", "L-", "p-", "not told apart", box=None)
    for number, item in enumerate(fits, 1):
        for kind, fit in (("preference", item.preference), ("utility", item.utility)):
            if fit is None:
                continue
            p = fit.params
            numbers = [p.m_plus, p.L_plus, p.p_plus, p.m_minus, p.L_minus, p.p_minus]
            slope = f"{regions_of(fit).slope_right:+.3g}"
            weak = ", ".join("~".join(group) for group in fit.trade_offs)
            shown.add_row(str(number), kind, f"{fit.r2:.4f}", slope, *(f"{value:.3g}" for value in numbers), weak)
    out.print(shown)
    for number, item in enumerate(fits, 1):
        out.print(f"#{number}: {short_label(item.curve.key)}", soft_wrap=True)
        for problem in item.problems:
            say(problem, "yellow")
        if item.curve.excluded:
            say(f"#{number}: utility leaves out {len(item.curve.excluded)} pair(s), undefined")
