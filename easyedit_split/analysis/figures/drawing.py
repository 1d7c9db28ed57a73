"""Draw one intervention into a panel: points, fitted curve, confidence band, regions, recommended m.

Points carry their fitted curve, or a thin line from point to point where there is no fit: solid and filled for
preference, dashed and hollow for utility. A band is the pointwise interval of the fitted curve. A diamond marks the
recommended m on the curve; its interval stands just above it in the curve's colour. Each panel says the R2 of its fits
and whether they miss their points; where they do, the curve is a smoothing spline, which regions follow, and the fitted
form is dotted, without a band.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation

from ...sweep_curves import Kind
from ..choose_m.beside import Collateral
from ..choose_m.interval import Interval
from ..choose_m.result import Recommendation
from ..fit.sweep_fit import SweepFit
from ..lack_of_fit import lack_of_fit
from ..regions import SideRegions, regions_of
from ..smooth import SmoothCurve, smooth_curve
from ..uncertainty.band import band, left_out_by_band
from ..uncertainty.spread import Spread
from .legend import Shown
from .m_axis import fine
from .style import BAND_ALPHA, HOLLOW, LINES, MISSED_LINE, REGION_COLOURS, REGION_EDGE, Look

POINTS_PER_INCH = 72.0
LIFT, LIFT_MORE = 7.0, 4.0  # points from a diamond up to its interval, and further for the next one nearby
MOST_LINES, NOTE_POINTS, NOTE_EDGE = 4, 8.0, 3.0  # notes in a panel, the height of one and the space around them
PAPER = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.8}  # behind words that curves may cross
NEARBY = 0.1  # of the swept range: recommended m whose intervals are stacked


@dataclass(frozen=True)
class Drawn:
    """One intervention to draw.

    Attributes:
        fit: its data and fits (where a fit is None, its points are joined).
        spread: gives the confidence bands; None for none.
        recommendation: marked where m is not None.
        label: its name; None makes one of what the figure's curves differ in.
        source: file that it comes from, for the name where nothing else tells curves apart.
        collateral: KL per token over m, drawn below; None where it was not measured.
    """

    fit: SweepFit
    spread: Spread | None = None
    recommendation: Recommendation | None = None
    label: str | None = None
    source: str = ""
    collateral: Collateral | None = None


def draw_curves(ax: Axes, inside: Sequence[tuple[Drawn, Look]], kind: Kind, shown: Shown) -> None:
    """Draw preference or utility of every intervention of a panel, recommended m on top; nothing where utility is
    undefined.

    Args:
        ax: axes to draw into.
        inside: the interventions, with colour and marker.
        kind: ``preference`` or ``utility``.
        shown: notes what was drawn, for the legend.
    """
    inside = [(item, style) for item, style in inside if has_kind(item, kind)]
    for item, style in inside:
        shown.kinds.add(kind)
        _curve(ax, item, kind, style, shown)
    _mark(ax, inside, kind, shown)


def _curve(ax: Axes, drawn: Drawn, kind: Kind, style: Look, shown: Shown) -> None:
    """Draw points with their fitted curve and confidence band; without a fit, points joined by lines."""
    table, fit = drawn.fit.curve.table(kind), drawn.fit.fit(kind)
    colour, marker = style
    face = HOLLOW if kind == "utility" else colour
    points: dict[str, Any] = {"marker": marker, "markeredgewidth": 0.6, "color": colour, "markerfacecolor": face}
    if fit is None:
        ax.plot(table.m, table.mean, linestyle=LINES[kind], linewidth=0.7, zorder=3, **points)
        return
    ax.plot(table.m, table.mean, linestyle="", alpha=0.55, zorder=3, **points)
    m, smooth = fine(ax, table.m), smooth_instead(drawn, kind)
    if smooth is not None:
        ax.plot(m, smooth(m), linestyle=LINES[kind], color=colour, zorder=4)
        ax.plot(m, fit(m), linestyle=MISSED_LINE, color=colour, linewidth=0.8, zorder=4)
        shown.missed = True
        return
    ax.plot(m, fit(m), linestyle=LINES[kind], color=colour, zorder=4)
    ends = None if drawn.spread is None else band(drawn.spread, fit, m)
    if drawn.spread is not None and ends is not None:
        ax.fill_between(m, *ends, color=colour, alpha=BAND_ALPHA, linewidth=0, zorder=2)
        shown.bands.add((drawn.spread.method, drawn.spread.level))


def smooth_instead(drawn: Drawn, kind: Kind) -> SmoothCurve | None:
    """The smoothing spline, where the fit has a significant lack of fit; else None.

    Args:
        drawn: the intervention.
        kind: ``preference`` or ``utility``.
    """
    fit, table = drawn.fit.fit(kind), drawn.fit.curve.table(kind)
    found = None if fit is None else lack_of_fit(fit, table)
    return smooth_curve(table) if found is not None and found.slopes_are_wrong else None


def quality_text(drawn: Drawn, kind: Kind) -> str:
    """R2 of a fitted curve, its lack of fit, and where its band does not contain it; empty without a fit.

    Args:
        drawn: the intervention.
        kind: ``preference`` or ``utility``.
    """
    fit = drawn.fit.fit(kind)
    if fit is None:
        return ""
    advice = drawn.recommendation
    found = lack_of_fit(fit, drawn.fit.curve.table(kind), None if advice is None else advice.m)
    parts = [f"R2 {fit.r2:.3f}"]
    if found is not None and found.found:
        worst = found.found[0]
        parts.append(f"lack of fit {worst.nats:.2g} nats")
    off = 0.0 if drawn.spread is None else left_out_by_band(drawn.spread, fit)
    if off > 0:
        parts.append(f"{off:.0%} of the curve outside its band")
    return ", ".join(parts)


def quality_notes(inside: Sequence[tuple[Drawn, Look]], kinds: Sequence[Kind]) -> list[tuple[str, str]]:
    """A line of fit quality and its colour for each curve of a panel; where there are many, the range of R2.

    Args:
        inside: the interventions, with colour and marker.
        kinds: kinds of curve in the panel.
    """
    lines = [
        (f"{kind}: {text}" if len(kinds) > 1 else text, style.colour)
        for item, style in inside
        for kind in kinds
        if has_kind(item, kind) and (text := quality_text(item, kind))
    ]
    if len(lines) > MOST_LINES:
        fits = [fit for item, _ in inside for kind in kinds if (fit := item.fit.fit(kind)) is not None]
        low, high = min(fit.r2 for fit in fits), max(fit.r2 for fit in fits)
        lines = [(f"R2 {low:.3f} to {high:.3f}", "0.3")]
    return lines


def write_notes(ax: Axes, notes: Sequence[tuple[str, str]]) -> None:
    """Write notes into the upper left corner of a panel, a line each.

    Args:
        ax: axes to draw into.
        notes: text and colour of each.
    """
    style: dict[str, Any] = {"fontsize": 5.5, "va": "top", "zorder": 7, "bbox": PAPER}
    corner: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
    for k, (text, colour) in enumerate(notes):
        ax.annotate(text, (0.02, 1.0), (0.0, -NOTE_EDGE - NOTE_POINTS * k), color=colour, **corner, **style)


def notes_inches(count: int) -> float:
    """Height of the strip that so many notes stand in, with no curve behind them.

    Args:
        count: how many.
    """
    return (2 * NOTE_EDGE + NOTE_POINTS * count) / POINTS_PER_INCH if count else 0.0


def _mark(ax: Axes, inside: Sequence[tuple[Drawn, Look]], kind: Kind, shown: Shown) -> None:
    """Draw a diamond at each recommended m, with its confidence interval above, stacked where m are close."""
    found: list[tuple[float, float, Interval | None, str]] = []
    for item, style in inside:
        fit, advice = item.fit.fit(kind), item.recommendation
        if fit is not None and advice is not None and advice.m is not None:
            curve = smooth_instead(item, kind) or fit
            found.append((advice.m, float(curve(np.array([advice.m]))[0]), advice.m_interval, style.colour))
            ax.plot(
                [advice.m], [found[-1][1]], "D", color="black", markerfacecolor=style.colour, markersize=4, zorder=6
            )
            shown.marks = True
    reach = NEARBY * max((float(np.ptp(item.fit.curve.preference.m)) for item, _ in inside), default=0.0)
    for k, (m, _, ends, colour) in enumerate(found):
        near = [other for other in found if abs(other[0] - m) <= reach]
        below = sum(1 for other in found[:k] if abs(other[0] - m) <= reach)
        if ends is not None and ax.figure is not None:
            lift = (LIFT + LIFT_MORE * below) / 72
            above = ax.transData + ScaledTranslation(0, lift, ax.figure.dpi_scale_trans)
            line: dict[str, Any] = {"color": colour, "linewidth": 1.0, "markersize": 4, "markeredgewidth": 1.0}
            height = max(other[1] for other in near)
            ax.plot([ends.low, ends.high], [height, height], "-|", transform=above, clip_on=False, zorder=5, **line)


def draw_regions(ax: Axes, drawn: Drawn, shown: Shown) -> None:
    """Shade the linear, transitional and convergence regions of the fitted preference; nothing without that fit.

    Args:
        ax: axes to draw into.
        drawn: the intervention.
        shown: notes what was drawn, for the legend.
    """
    if drawn.fit.preference is None:
        return
    found, smooth = regions_of(drawn.fit.preference), smooth_instead(drawn, "preference")
    for side in (found.minus, found.plus):
        if side is not None and smooth is not None:
            side = replace(side, linear_end=smooth.linear_ends[int(side.end > 0)], convergence_start=None)
        for name, start, end in [] if side is None else _spans(side):
            ax.axvspan(start, end, color=REGION_COLOURS[name], linewidth=0, zorder=0)
            if start != 0:
                ax.axvline(start, color=REGION_EDGE, linewidth=0.5, linestyle=":", zorder=1)
            shown.regions.add(name)


def has_kind(item: Drawn, kind: Kind) -> bool:
    """Whether a curve has points of that kind.

    Args:
        item: an intervention.
        kind: ``preference`` or ``utility``.
    """
    return kind == "preference" or item.fit.curve.utility is not None


def _spans(side: SideRegions) -> list[tuple[str, float, float]]:
    """Regions ``(region, start, end)`` on one side of m = 0, from zero outward."""
    linear_end = side.end if side.linear_end is None else side.linear_end
    convergence = side.end if side.convergence_start is None else side.convergence_start
    spans = [
        ("linear", 0.0, linear_end),
        ("transitional", linear_end, convergence),
        ("convergence", convergence, side.end),
    ]
    return [(name, start, end) for name, start, end in spans if start != end]
