"""``easyedit-split plot``: plot preference and utility over m, as in the paper's Figures 2, 4 and 5."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from ...analysis import (
    Budget,
    Collateral,
    FitError,
    Spread,
    SweepFit,
    fit_sweep,
    lack_of_fit,
    read_curves,
    spread_of,
    style_of,
)
from ...analysis import recommend as choose
from ...analysis.choose_m.scored_pairs import ScoredPairs
from ...analysis.figures.style import MScale, check_figure_suffix, check_scale
from ...analysis.uncertainty.band import left_out_by_band
from ...storage import write_whole
from ...sweep_table import read_columns
from ...types import ConfigError, DataError
from ..advice import METHODS, left_out
from ..console import say, say_written
from ..labels import short_label
from ..options import OverwriteOption
from ..output_paths import check_file

EPILOG = """Example: easyedit-split plot power.parquet --fit --out power.png

Example: easyedit-split plot power.parquet --collateral power.collateral.csv --texts power.texts.json --out power.png"""


def command(  # noqa: DOC101, DOC103
    sweeps: Annotated[list[Path], typer.Argument(help="Tables that `sweep` wrote, or any with m1, pref and util.")],
    to: Annotated[Path, typer.Option("--out", help="Figure to write: .png, .svg or .pdf.")],
    fit: Annotated[
        bool, typer.Option("--fit", help="Draw fitted curves, bands, regions and the recommended m.")
    ] = False,
    overlay: Annotated[bool, typer.Option("--overlay", help="Both curves in one panel, as in the paper.")] = False,
    collateral: Annotated[
        Path | None, typer.Option(help="Side effects over m, drawn below: a table with m1, kl, tokens.")
    ] = None,
    texts: Annotated[
        Path | None, typer.Option(help="Texts over m, shown below: a table with m1, prompt, text.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Title of the figure.")] = None,
    scale: Annotated[
        str, typer.Option(help="Of the m axis: linear, asinh (spreads what lies near 0), or auto, by the points.")
    ] = "linear",
    overwrite: OverwriteOption = False,
) -> None:
    """Plot sweeps: solid preference, dashed utility, one panel per form, dataset and model."""
    check_figure_suffix(to)
    axis = check_scale(scale)
    check_file(to, overwrite)
    found = [(curve, path.name) for path in sweeps for curve in read_curves([path])]
    curves = [curve for curve, _ in found]
    fits = fit_sweep(curves, keep_going=True) if fit else [SweepFit(curve, None, None, ()) for curve in curves]
    for item in fits:
        for problem in item.problems:
            say(problem, "yellow")
        if item.curve.excluded:
            say(f"{short_label(item.curve)}: {left_out(item.curve)}")
    if len(fits) > 1 and (collateral is not None or texts is not None):
        raise ConfigError(f"--collateral and --texts are of one intervention; the sweeps hold {len(fits)}")
    effects = None if collateral is None else Collateral.read(collateral)
    said = None if texts is None else read_columns(texts, ("m1",))
    names = [name for _, name in found]
    draw_figure(fits, to, overlay=overlay, title=title, sources=names, collateral=effects, texts=said, scale=axis)
    say_written("figure", to)


def draw_figure(
    fits: list[SweepFit],
    to: Path,
    *,
    overlay: bool = False,
    title: str | None = None,
    budget: Budget | None = None,
    sources: list[str] | None = None,
    collateral: Collateral | None = None,
    texts: pd.DataFrame | None = None,
    scale: MScale = "linear",
) -> None:
    """Write the figure of sweeps; converged fits get a confidence band and, where both exist, the recommended m.

    Args:
        fits: to draw.
        to: figure file.
        overlay: both curves in one panel, as the paper's figures.
        title: text above the figure.
        budget: of the recommended m.
        sources: name of the file that each comes from.
        collateral: side effects of the only one, drawn below.
        texts: what the model writes over m, shown below.
        scale: of the m axis.
    """
    from ...analysis.figures.plots import Drawn, plot_sweep, save_figure

    check_figure_suffix(to)
    drawn = []
    for item, source in zip(fits, sources or [""] * len(fits), strict=True):
        varied, advice = vary(item, "drawn without a band"), None
        if item.preference is not None and item.utility is not None:
            advice = choose(item, budget=budget, spread=varied)
        drawn.append(Drawn(item, varied, advice, source=source, collateral=collateral))
    for method in dict.fromkeys(item.spread.method for item in drawn if item.spread is not None):
        say(f"confidence bands {METHODS[method]}")
    for one in drawn:
        for note in notes_on(one.fit, one.spread):
            say(f"{short_label(one.fit.curve)}: {note}", "yellow")
    advised = [item.recommendation.method for item in drawn if item.recommendation is not None]
    for known in dict.fromkeys(name for name in advised if name is not None):
        say(f"confidence intervals of m {METHODS[known]}")
    figure = plot_sweep(drawn, overlay=overlay, title=title, texts=texts, scale=scale)

    def save(path: Path) -> None:
        save_figure(figure, path)

    write_whole(to, save)


def notes_on(item: SweepFit, spread: Spread | None) -> list[str]:
    """Warnings about a figure: learnt style, lack of fit, bands that exclude their curve.

    Args:
        item: a fitted sweep.
        spread: of it; None where there is none.
    """
    curve, notes = item.curve, []
    if curve.utility is not None and curve.preference.has_pairs:
        style = style_of(ScoredPairs.of(curve, "raise"))
        notes += [style.sentence()] if style is not None and style.learnt else []
    if spread is not None and spread.warning:
        notes.append(spread.warning)
    for fit in (item.preference, item.utility):
        if fit is None:
            continue
        found = lack_of_fit(fit, curve.table(fit.kind))
        notes += [f"{fit.kind}: the curve {part.sentence()}" for part in (found.found if found is not None else ())]
        off = 0.0 if spread is None else left_out_by_band(spread, fit)
        if off > 0:
            where = f"over {off:.0%} of the sweep"
            notes.append(f"{fit.kind}: the confidence band does not contain its own curve {where}: trust neither there")
    return notes


def vary(item: SweepFit, without: str) -> Spread | None:
    """Bootstrap or sandwich uncertainty of a fit; None, with a message, where there is none.

    Args:
        item: a fitted sweep.
        without: what the figure lacks then, for the message.
    """
    if item.preference is None and item.utility is None:
        return None
    try:
        return spread_of(item.curve, item.preference, item.utility)
    except (DataError, FitError) as error:
        say(f"{without}: {error}", "yellow")
        return None
