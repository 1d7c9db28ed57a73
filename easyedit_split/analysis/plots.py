"""Figures 2, 4 and 5: preference (solid) and utility (dashed) over m, fitted curves over the measured points.

`plot_curve` draws one intervention into axes that you pass and gives them back; `plot_sweep` lays out panels by form
and `save_figure` writes PNG, SVG or PDF. Bands are pointwise intervals of the fitted curve; shading shows the linear,
transitional and convergence regions of the fitted preference; a diamond marks the recommended m with its interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from easyedit_split.analysis.problem import KINDS, Kind
from easyedit_split.analysis.regions import SideRegions, regions_of
from easyedit_split.analysis.report import FORMS, OBJECTIVES
from easyedit_split.analysis.spread import Spread
from easyedit_split.analysis.strength import Recommendation
from easyedit_split.analysis.style import COLOURS, LINES, MARKERS, PANEL_INCHES, RC, REGION_COLOURS
from easyedit_split.analysis.sweep_fit import SweepFit
from easyedit_split.types import ConfigError, FloatArray

SUFFIXES = (".png", ".svg", ".pdf")
FINE = 801
LEGEND_INCHES = 1.15  # room for one legend entry


@dataclass(frozen=True)
class Drawn:
    """One intervention to draw.

    Attributes:
        fit: its data and fits (a fit that is None is drawn as points only).
        spread: gives bands; recommendation: marked where m is not None.
        label: in the legend; None takes the objective's name.
    """

    fit: SweepFit
    spread: Spread | None = None
    recommendation: Recommendation | None = None
    label: str | None = None

    @property
    def name(self) -> str:
        """Legend entry."""
        key = self.fit.curve.key
        return self.label or OBJECTIVES.get(key.objective, key.objective) or "curve"


def plot_curve(
    ax: Axes, drawn: Drawn, kinds: Sequence[Kind] = KINDS, *, colour: str = COLOURS[0], marker: str = MARKERS[0]
) -> Axes:
    """Points, fitted curve, band and recommended m of one intervention, into `ax`.

    Args:
        ax: axes to draw into; returned.
        drawn: what to draw.
        kinds: "preference" (solid), "utility" (dashed) or both.
        colour, marker: of this intervention.
    """
    for kind in kinds:
        if kind == "utility" and drawn.fit.curve.utility is None:
            continue
        table = drawn.fit.curve.table(kind)
        ax.plot(table.m, table.mean, marker, color=colour, alpha=0.55, markeredgewidth=0, zorder=3)
        fit = drawn.fit.fit(kind)
        if fit is None:
            continue
        m = _fine(table.m)
        ax.plot(m, fit(m), linestyle=LINES[kind], color=colour, zorder=4)
        versions = None if drawn.spread is None else getattr(drawn.spread, kind)
        if drawn.spread is not None and versions is not None:
            low, high = drawn.spread.interval(versions.values(m), fit(m))
            ax.fill_between(m, low, high, color=colour, alpha=0.18, linewidth=0, zorder=2)
        _mark(ax, drawn, kind, colour)
    return ax


def shade_regions(ax: Axes, drawn: Drawn) -> Axes:
    """Shade the regions of the fitted preference curve across `ax`; does nothing without that fit."""
    if drawn.fit.preference is None:
        return ax
    found = regions_of(drawn.fit.preference)
    for side in (found.minus, found.plus):
        if side is not None:
            for name, start, end in _spans(side):
                ax.axvspan(start, end, color=REGION_COLOURS[name], linewidth=0, zorder=0)
    return ax


def plot_sweep(
    drawn: Sequence[Drawn], *, overlay: bool = False, shade: bool | None = None, title: str | None = None
) -> Figure:
    """Panels by form: preference above utility, or both in one panel with `overlay`, as the paper draws them.

    Args:
        drawn: interventions; those of one form share a panel, coloured by objective.
        overlay: one row of panels with both curves on one scale (utility may lie far below preference).
        shade: regions of the preference; default: only in panels that hold a single intervention.
        title: above the figure.

    Raises:
        ConfigError: nothing to draw.
    """
    if not drawn:
        raise ConfigError("nothing to plot: the sweep has no curves.")
    forms = sorted({item.fit.curve.key.form for item in drawn}, key=_form_rank)
    rows: list[Sequence[Kind]] = [KINDS] if overlay else [[kind] for kind in KINDS]
    with mpl.rc_context(cast(dict[str, object], dict(RC))):  # type: ignore[arg-type]
        size = (max(3.4, PANEL_INCHES[0] * len(forms) + 0.4), PANEL_INCHES[1] * len(rows) + 0.9)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(
            len(rows), len(forms), sharex="col", sharey="row" if len(rows) > 1 else True, squeeze=False
        )
        names = list(dict.fromkeys(item.name for item in drawn))
        for column, form in enumerate(forms):
            inside = [item for item in drawn if item.fit.curve.key.form == form]
            for row, kinds in enumerate(rows):
                _panel(axes[row, column], inside, kinds, names, len(inside) == 1 if shade is None else shade)
            axes[0, column].set_title(FORMS.get(form, form))
            axes[-1, column].set_xlabel("steering factor m")
        for row, kinds in enumerate(rows):
            axes[row, 0].set_ylabel(f"{' / '.join(kinds)}\nlog-odds (nats)")
        shaded = any(shade or (shade is None and sum(i.fit.curve.key.form == f for i in drawn) == 1) for f in forms)
        _legend(figure, names, shaded, any(_has_mark(item) for item in drawn))
        if title:
            figure.suptitle(title, fontsize=9)
    return figure


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write PNG (300 dpi), SVG or PDF, by the suffix.

    Raises:
        ConfigError: another suffix.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise ConfigError(
            f"{path}: cannot write {path.suffix or 'a figure without suffix'}; use {', '.join(SUFFIXES)}."
        )
    with mpl.rc_context(cast(dict[str, object], dict(RC))):  # type: ignore[arg-type]
        figure.savefig(path)
    return path


def _panel(ax: Axes, inside: Sequence[Drawn], kinds: Sequence[Kind], names: list[str], shade: bool) -> None:
    ax.axvline(0.0, color="0.6", linewidth=0.5, zorder=1)
    if "preference" in kinds:
        ax.axhline(0.0, color="0.6", linewidth=0.5, zorder=1)
    if shade:
        for item in inside[:1]:
            shade_regions(ax, item)
    for item in inside:
        k = names.index(item.name)
        plot_curve(ax, item, kinds, colour=COLOURS[k % len(COLOURS)], marker=MARKERS[k % len(MARKERS)])
    ends = [float(v) for item in inside for v in (item.fit.curve.preference.m[0], item.fit.curve.preference.m[-1])]
    ax.set_xlim(min(ends), max(ends))


def _mark(ax: Axes, drawn: Drawn, kind: Kind, colour: str) -> None:
    fit, advice = drawn.fit.fit(kind), drawn.recommendation
    if fit is None or advice is None or advice.m is None:
        return
    height = float(fit(np.array([advice.m]))[0])
    if advice.m_interval is not None:
        ends = [advice.m_interval.low, advice.m_interval.high]
        ax.plot(ends, [height, height], "-|", color="black", linewidth=0.9, markersize=7, zorder=5)
    ax.plot([advice.m], [height], "D", color="black", markerfacecolor=colour, markersize=4, zorder=6)


def _spans(side: SideRegions) -> list[tuple[str, float, float]]:
    """(region, start, end) along one side, from zero outwards."""
    linear_end = side.end if side.linear_end is None else side.linear_end
    convergence = side.end if side.convergence_start is None else side.convergence_start
    spans = [
        ("linear", 0.0, linear_end),
        ("transitional", linear_end, convergence),
        ("convergence", convergence, side.end),
    ]
    return [(name, start, end) for name, start, end in spans if start != end]


def _legend(figure: Figure, names: list[str], shaded: bool, marked: bool) -> None:
    entries: list[Line2D | Patch] = [
        Line2D([], [], color=COLOURS[k % len(COLOURS)], marker=MARKERS[k % len(MARKERS)], label=name)
        for k, name in enumerate(names)
    ]
    entries += [Line2D([], [], color="0.3", linestyle=LINES[kind], label=kind) for kind in KINDS]
    if marked:
        entries.append(Line2D([], [], color="black", marker="D", linestyle="-", markersize=4, label="recommended m"))
    if shaded:
        entries += [Patch(color=colour, label=name) for name, colour in REGION_COLOURS.items()]
    columns = max(2, int(figure.get_figwidth() / LEGEND_INCHES))
    figure.legend(handles=entries, loc="outside lower center", ncols=min(len(entries), columns), frameon=False)


def _has_mark(item: Drawn) -> bool:
    return item.recommendation is not None and item.recommendation.m is not None


def _form_rank(form: str) -> tuple[int, str]:
    order = ["vector", "lora", "local_weight"]
    return (order.index(form) if form in order else len(order), form)


def _fine(m: FloatArray) -> FloatArray:
    return np.union1d(np.linspace(m[0], m[-1], FINE), m)
