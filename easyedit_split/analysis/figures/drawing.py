"""What a panel shows of an intervention: points, fitted curve, band, regions, recommended m.

Points carry their fitted curve, or a thin line from point to point where there is no fit: solid and filled for
preference, dashed and hollow for utility. A band is the pointwise interval of the fitted curve. A diamond marks the
recommended m on the curve; its interval stands just above it in the curve's colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation

from ...sweep_curves import Kind
from ...types import FloatArray
from ..choose_m.interval import Interval
from ..choose_m.recommendation import Recommendation
from ..fit.sweep_fit import SweepFit
from ..regions import SideRegions, regions_of
from ..uncertainty.spread import Spread
from .legend import Shown
from .style import BAND_ALPHA, HOLLOW, LINES, REGION_COLOURS, REGION_EDGE, Look

FINE = 801
LIFT, LIFT_MORE = 7.0, 4.0  # points from a diamond up to its interval, and further for the next one nearby
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
    """

    fit: SweepFit
    spread: Spread | None = None
    recommendation: Recommendation | None = None
    label: str | None = None
    source: str = ""


def draw_curves(ax: Axes, inside: Sequence[tuple[Drawn, Look]], kind: Kind, shown: Shown) -> None:
    """Draw one kind of every intervention of a panel, recommended m on top; nothing where utility is undefined.

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
    """Points with their curve and band; without a fit, points joined."""
    table, fit = drawn.fit.curve.table(kind), drawn.fit.fit(kind)
    colour, marker = style
    face = HOLLOW if kind == "utility" else colour
    points: dict[str, Any] = {"marker": marker, "markeredgewidth": 0.6, "color": colour, "markerfacecolor": face}
    if fit is None:
        ax.plot(table.m, table.mean, linestyle=LINES[kind], linewidth=0.7, zorder=3, **points)
        return
    ax.plot(table.m, table.mean, linestyle="", alpha=0.55, zorder=3, **points)
    m = _fine(table.m)
    ax.plot(m, fit(m), linestyle=LINES[kind], color=colour, zorder=4)
    versions = None if drawn.spread is None else getattr(drawn.spread, kind)
    if drawn.spread is not None and versions is not None:
        low, high = drawn.spread.interval(versions.values(m), fit(m))
        ax.fill_between(m, low, high, color=colour, alpha=BAND_ALPHA, linewidth=0, zorder=2)
        shown.bands.add((drawn.spread.method, drawn.spread.level))


def _mark(ax: Axes, inside: Sequence[tuple[Drawn, Look]], kind: Kind, shown: Shown) -> None:
    """A diamond at each recommended m; the intervals stand above the diamonds, one above the other where m is near."""
    found: list[tuple[float, float, Interval | None, str]] = []
    for item, style in inside:
        fit, advice = item.fit.fit(kind), item.recommendation
        if fit is not None and advice is not None and advice.m is not None:
            found.append((advice.m, float(fit(np.array([advice.m]))[0]), advice.m_interval, style.colour))
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
    """Shade the regions of the fitted preference; nothing without that fit.

    Args:
        ax: axes to draw into.
        drawn: the intervention.
        shown: notes what was drawn, for the legend.
    """
    if drawn.fit.preference is None:
        return
    found = regions_of(drawn.fit.preference)
    for side in (found.minus, found.plus):
        for name, start, end in [] if side is None else _spans(side):
            ax.axvspan(start, end, color=REGION_COLOURS[name], linewidth=0, zorder=0)
            if start != 0:
                ax.axvline(start, color=REGION_EDGE, linewidth=0.5, linestyle=":", zorder=1)
            shown.regions.add(name)


def has_kind(item: Drawn, kind: Kind) -> bool:
    """Whether there are points of that kind.

    Args:
        item: an intervention.
        kind: ``preference`` or ``utility``.
    """
    return kind == "preference" or item.fit.curve.utility is not None


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


def _fine(m: FloatArray) -> FloatArray:
    return np.union1d(np.linspace(m[0], m[-1], FINE), m)
