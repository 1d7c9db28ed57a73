"""`easyedit-split plot`: preference and utility over m, as the paper's Figures 2, 4 and 5 draw them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..analysis import Budget, SweepFit, fit_sweep, read_curves, spread_of
from ..storage import write_whole
from .common import say, say_written
from .options import OverwriteOption
from .places import check_file
from .recommend import recommend_fit

EPILOG = "Example: easyedit-split plot power.parquet --fit --out power.png"


def command(
    sweeps: Annotated[list[Path], typer.Argument(help="Tables that `sweep` wrote, or any with m1, pref and util.")],
    to: Annotated[Path, typer.Option("--out", help="Figure to write: .png, .svg or .pdf.")],
    fit: Annotated[
        bool, typer.Option("--fit", help="Draw fitted curves, bands, regions and the recommended m.")
    ] = False,
    overlay: Annotated[bool, typer.Option("--overlay", help="Both curves in one panel, as the paper.")] = False,
    title: Annotated[str | None, typer.Option(help="Above the figure.")] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Draw sweeps: solid preference, dashed utility, one panel per form."""
    check_file(to, overwrite)
    curves = read_curves(sweeps)
    fits = fit_sweep(curves, keep_going=True) if fit else [SweepFit(curve, None, None, ()) for curve in curves]
    for item in fits:
        for problem in item.problems:
            say(problem, "yellow")
    draw(fits, to, overlay=overlay, title=title)
    say_written("figure", to)


def draw(
    fits: list[SweepFit], to: Path, *, overlay: bool = False, title: str | None = None, budget: Budget | None = None
) -> None:
    """Write the figure of sweeps; what could be fitted gets its band and recommended m."""
    from ..analysis.plots import Drawn, plot_sweep, save_figure

    drawn = []
    for item in fits:
        if item.preference is None or item.utility is None:
            drawn.append(Drawn(item))
            continue
        varied = spread_of(item.curve, item.preference, item.utility)
        drawn.append(Drawn(item, varied, recommend_fit(item, budget or Budget(), spread=varied)))
    figure = plot_sweep(drawn, overlay=overlay, title=title)

    def save(path: Path) -> None:
        save_figure(figure, path)

    write_whole(to, save)
