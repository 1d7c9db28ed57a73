"""Plot preference (solid, filled) and utility (dashed, hollow) over m, as in Figures 2, 4 and 5.

``plot_curve`` draws one intervention into axes that you pass and gives them back; ``plot_sweep`` lays out panels by
form, dataset and model, and ``save_figure`` writes PNG, SVG or PDF. Bands are pointwise confidence intervals of the
fitted curve; shading shows the linear, transitional and convergence regions of the fitted preference; a diamond marks
the recommended m. The legend names what was drawn and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias, cast

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

from ...sweep_curves import KINDS, Kind, SweepLike
from ...types import ConfigError
from ..fit.sweep_fit import fit_sweep
from .below import LINE_INCHES, draw_collateral, measured_near_zero, text_lines, write_texts_below
from .drawing import Drawn, draw_curves, draw_regions, has_kind, notes_inches, quality_notes, write_notes
from .legend import Shown, add_legend
from .m_axis import add_r_axis, m_label, m_scale, set_m_axis, share_m
from .naming import PanelLayout, curve_names, panel_layout
from .style import COLOURS, MARKERS, PANEL_INCHES, RC, Look, MScale, check_figure_suffix, look

__all__ = ["Drawn", "plot_curve", "plot_sweep", "save_figure", "shade_regions"]

Cells: TypeAlias = dict[tuple[int, int], list[tuple[Drawn, Look]]]
"""The interventions of each form, dataset and model, by row and column."""
Notes: TypeAlias = dict[tuple[int, int], list[tuple[str, str]]]
"""Texts and colours of the notes in each panel, by row and column."""
BEYOND = 0.3  # of the points' range: as far above and below them as a fitted curve or its band is shown


def plot_curve(
    ax: Axes, drawn: Drawn, kinds: Sequence[Kind] = KINDS, *, colour: str = COLOURS[0], marker: str = MARKERS[0]
) -> Axes:
    """Plot points, fitted curve, confidence band and recommended m of one intervention into ``ax``.

    Args:
        ax: axes to draw into; returned.
        drawn: what to draw.
        kinds: "preference" (solid), "utility" (dashed) or both.
        colour: of this intervention.
        marker: of this intervention.
    """
    for kind in kinds:
        draw_curves(ax, [(drawn, Look(colour, marker))], kind, Shown())
    return ax


def shade_regions(ax: Axes, drawn: Drawn) -> Axes:
    """Shade the regions of the fitted preference curve in ``ax``; nothing without that fit.

    Args:
        ax: axes to draw into; returned.
        drawn: an intervention whose preference was fitted.
    """
    draw_regions(ax, drawn, Shown())
    return ax


def plot_sweep(
    drawn: Sequence[Drawn] | SweepLike,
    *,
    overlay: bool = False,
    shade: bool | None = None,
    title: str | None = None,
    texts: pd.DataFrame | None = None,
    scale: MScale = "linear",
) -> Figure:
    """Plot a sweep in panels by form, dataset and model: preference above utility, or both in one panel with
    ``overlay``.

    Args:
        drawn: interventions, or a sweep (table, path or curves), which is fitted; those of one form, dataset and model
            share a panel, coloured by what else they differ in.
        overlay: both curves on one scale (utility may lie far below preference).
        shade: regions of the preference; default: only in panels that hold a single intervention.
        title: above the figure.
        texts: what the model writes over m (``m1, prompt, text``): the first prompt's answers stand below the panels.
        scale: of the m axis, see ``m_axis``; ``auto`` is ``asinh`` where most points crowd at 0.

    Raises:
        ConfigError: nothing to draw, or no such scale.
        DataError: texts without a column that they need.
    """
    drawn = _drawn(drawn)
    if not drawn:
        raise ConfigError("nothing to plot: the sweep has no curves.")
    keys = [item.fit.curve.key for item in drawn]
    layout = panel_layout(keys)
    names = curve_names(keys, [item.label for item in drawn], [item.source for item in drawn])
    looks = {name: look(k) for k, name in enumerate(dict.fromkeys(names))}
    kinds: list[Sequence[Kind]] = [KINDS] if overlay else [[kind] for kind in KINDS]
    rows = len(kinds) + any(item.collateral is not None for item in drawn)  # panels above each other
    shown = Shown(looks=looks)
    cells: Cells = {}
    for item, name in zip(drawn, names, strict=True):
        cells.setdefault(layout.cell(item.fit.curve.key), []).append((item, looks[name]))
    scale = m_scale(scale, [item.fit.curve.preference.m for item in drawn])
    notes = _notes(cells, kinds, rows)
    strips = _strips(notes, len(layout.rows) * rows)
    with mpl.rc_context(cast(dict[str, object], dict(RC))):  # type: ignore[arg-type]
        size = (len(layout.columns), len(layout.rows) * rows)
        width, height = max(3.4, PANEL_INCHES[0] * size[0] + 0.4), PANEL_INCHES[1] * size[1] + sum(strips) + 0.5
        lines = [] if texts is None else text_lines(texts, width - 0.4, drawn[0].fit.curve.r_per_m)
        below = LINE_INCHES * len(lines)
        figure = Figure(figsize=(width, height + below), layout="constrained")
        heights = [PANEL_INCHES[1] + strip for strip in strips] + ([below] if lines else [])
        grid = figure.add_gridspec(len(heights), size[0], height_ratios=heights)
        axes = _panels(figure, grid, size)
        if lines:
            write_texts_below(figure.add_subplot(grid[-1, :]), lines)
        _fill(axes, layout, kinds, cells, rows, shade, scale, shown)
        figure.align_ylabels()
        add_legend(figure, shown)
        if title:
            figure.suptitle(title, fontsize=9)
        _write_notes(figure, axes, notes, strips)
    return figure


def _notes(cells: Cells, kinds: list[Sequence[Kind]], rows: int) -> Notes:
    """What is noted on the fits of each panel."""
    return {
        (row * rows + inner, column): quality_notes(inside, own)
        for (row, column), inside in cells.items()
        for inner, own in enumerate(kinds)
    }


def _strips(notes: Notes, rows: int) -> list[float]:
    """Height in inches of the strip for notes that each row of panels has above its curves."""
    most = [max((len(said) for (at, _), said in notes.items() if at == row), default=0) for row in range(rows)]
    return [notes_inches(count) for count in most]


def _write_notes(figure: Figure, axes: list[list[Axes]], notes: Notes, strips: Sequence[float]) -> None:
    """Write notes into their panels, and lift the upper ends of the y axes, so that no curve is drawn behind them."""
    for (row, column), said in notes.items():
        write_notes(axes[row][column], said)
    figure.draw_without_rendering()
    for line, strip in zip(axes, strips, strict=True):
        ax = line[0]
        inches = ax.get_window_extent().height / figure.dpi
        bottom, top = ax.get_ylim()
        if 0.0 < strip < inches:
            ax.set_yticks([tick for tick in ax.get_yticks() if bottom <= tick <= top])
            ax.set_ylim(bottom, bottom + (top - bottom) * inches / (inches - strip))


def _panels(figure: Figure, grid: GridSpec, size: tuple[int, int]) -> list[list[Axes]]:
    """Empty panels, ``size`` columns and rows; those of a row share their y axis."""
    axes: list[list[Axes]] = []
    for row in range(size[1]):
        first = figure.add_subplot(grid[row, 0])
        axes.append([first, *(figure.add_subplot(grid[row, k], sharey=first) for k in range(1, size[0]))])
    return axes


def _fill(
    axes: list[list[Axes]],
    layout: PanelLayout,
    kinds: list[Sequence[Kind]],
    cells: Cells,
    rows: int,
    shade: bool | None,
    scale: str,
    shown: Shown,
) -> None:
    """Draw every cell's interventions into its panels, and label the axes."""
    for (row, column), inside in cells.items():
        stack = [line[column] for line in axes[row * rows : (row + 1) * rows]]
        _stack(stack, inside, kinds, len(inside) == 1 if shade is None else shade, scale, shown)
        stack[0].set_title(layout.title(inside[0][0].fit.curve.key))
    for row in range(len(layout.rows)):
        members = [item for (line, _), inside in cells.items() if line == row for item, _ in inside]
        for inner, own in enumerate(kinds):
            _limit(axes[row * rows + inner][0], members, own)
    _label(axes, layout, kinds, set(cells), rows)
    for (row, column), inside in cells.items():
        _r_axis(axes[row * rows][column], [item for item, _ in inside])


def _drawn(given: Sequence[Drawn] | SweepLike) -> list[Drawn]:
    """The curves of a sweep with their fits, where the fits converge."""
    if isinstance(given, pd.DataFrame | str | Path):
        return [Drawn(fit) for fit in fit_sweep(given, keep_going=True)]
    return [item if isinstance(item, Drawn) else Drawn(fit_sweep([item], keep_going=True)[0]) for item in given]


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Save a figure as PNG (300 dpi), SVG or PDF, by the file's suffix.

    Args:
        figure: the figure.
        path: the file; its suffix names the format.

    Raises:
        ConfigError: another suffix.
    """
    path = Path(path)
    check_figure_suffix(path)
    with mpl.rc_context(cast(dict[str, object], dict(RC))):  # type: ignore[arg-type]
        figure.savefig(path)
    return path


def _stack(
    stack: Sequence[Axes],
    inside: list[tuple[Drawn, Look]],
    kinds: list[Sequence[Kind]],
    shade: bool,
    scale: str,
    shown: Shown,
) -> None:
    """Create the panels of one form, dataset and model, stacked over one m axis."""
    swept = [item.fit.curve.preference.m for item, _ in inside]
    for ax in stack[: len(kinds)]:
        set_m_axis(ax, scale, swept)
    if len(stack) > len(kinds):
        if scale != "linear" or not measured_near_zero(inside):
            stack[-1].sharex(stack[0])
            set_m_axis(stack[-1], scale, swept)
        draw_collateral(stack[-1], inside)
    for ax, own in zip(stack, kinds, strict=False):
        empty = [kind for kind in own if not any(has_kind(item, kind) for item, _ in inside)]
        if len(empty) < len(own):
            ax.axvline(0.0, color="0.6", linewidth=0.5, zorder=1)
            if "preference" in own:
                ax.axhline(0.0, color="0.6", linewidth=0.5, zorder=1)
            if shade:
                draw_regions(ax, inside[0][0], shown)
        for kind in own:
            draw_curves(ax, inside, kind, shown)
        if empty:
            _say_undefined(ax, empty, own)
        if ax is not stack[0]:
            ax.sharex(stack[0])


def _limit(ax: Axes, members: Sequence[Drawn], own: Sequence[Kind]) -> None:
    """Set y limits by the points, so that diverging curves or bands do not compress them."""
    points = [item.fit.curve.table(kind).mean for item in members for kind in own if has_kind(item, kind)]
    low, high = min((float(y.min()) for y in points), default=0.0), max((float(y.max()) for y in points), default=0.0)
    if high > low:
        bottom, top = ax.get_ylim()
        ax.set_ylim(max(bottom, low - BEYOND * (high - low)), min(top, high + BEYOND * (high - low)))


def _say_undefined(ax: Axes, empty: Sequence[Kind], own: Sequence[Kind]) -> None:
    """Write "undefined" in an empty panel, or in the corner of one that shows the other kind."""
    if len(empty) == len(own):
        ax.text(0.5, 0.5, "undefined", transform=ax.transAxes, ha="center", va="center", color="0.4")
    else:
        ax.text(0.98, 0.02, f"{empty[0]} undefined", transform=ax.transAxes, ha="right", va="bottom", color="0.4")


def _r_axis(ax: Axes, inside: Sequence[Drawn]) -> None:
    """Add a second axis in units of r, where all curves of a panel share one r per unit of m."""
    units = {item.fit.curve.r_per_m for item in inside}
    per_m = units.pop()
    if not units and per_m:
        add_r_axis(ax, per_m)


def _label(
    axes: list[list[Axes]],
    layout: PanelLayout,
    kinds: list[Sequence[Kind]],
    cells: set[tuple[int, int]],
    rows: int,
) -> None:
    """Axis labels on the outer panels, tick labels where panels do not share them; panels without a curve vanish."""
    labels = [f"{' / '.join(own)}\nlog-odds (nats)" for own in kinds] + ["KL divergence\n(nats per token)"]
    for row in range(len(layout.rows)):
        filled = [column for column in range(len(layout.columns)) if (row, column) in cells]
        for inner in range(rows):
            line = axes[row * rows + inner]
            for column, ax in enumerate(line):
                ax.set_axis_on() if column in filled else ax.set_axis_off()
                apart = inner == len(kinds) - 1 and not share_m(ax, axes[(row + 1) * rows - 1][column])
                ax.tick_params(labelleft=column == filled[0], labelbottom=apart or inner == rows - 1)
                if apart:
                    ax.set_xlabel(m_label(ax))
            line[filled[0]].set_ylabel(labels[inner])
            if not any(ax.lines for ax in line):
                line[0].set_yticks([])
    for column in range(len(layout.columns)):
        last = max(row for row, filled in cells if filled == column)
        bottom = axes[(last + 1) * rows - 1][column]
        bottom.set_xlabel(m_label(bottom))
