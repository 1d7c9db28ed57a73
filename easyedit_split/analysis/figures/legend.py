"""Legend of a figure, with an entry for everything drawn in it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ...sweep_curves import KINDS
from .style import BAND_ALPHA, HOLLOW, LEGEND, LINES, MISSED_LINE, REGION_COLOURS, REGION_EDGE, Look

BANDS = {"bootstrap": "over pairs", "sandwich": "over pairs", "residual": "residuals"}


@dataclass
class Shown:
    """Record of what a figure shows, filled in while it is drawn.

    Attributes:
        looks: colour and marker of each name.
        kinds: kinds of curve that were drawn.
        regions: regions that were drawn.
        bands: method and level of each band.
        marks: whether a recommended m is marked.
        missed: whether a fitted form misses its points, so that a smoothing spline is the curve.
    """

    looks: dict[str, Look] = field(default_factory=dict)
    kinds: set[str] = field(default_factory=set)
    regions: set[str] = field(default_factory=set)
    bands: set[tuple[str, float]] = field(default_factory=set)
    marks: bool = False
    missed: bool = False


def curves_drawn(shown: Shown) -> list[Artist]:
    """Legend entries of the curves, one for each name.

    Args:
        shown: what the figure shows.
    """
    return [
        Line2D([], [], color=look.colour, marker=look.marker, label=_wrapped(name))
        for name, look in shown.looks.items()
    ]


def parts_drawn(shown: Shown) -> list[Artist]:
    """Legend entries of everything but the curves: kinds, recommended m, bands, regions.

    Args:
        shown: what the figure shows.
    """
    out: list[Artist] = [
        Line2D([], [], color="0.3", linestyle=LINES[kind], marker="o", markerfacecolor=_fill(kind), label=kind)
        for kind in KINDS
        if kind in shown.kinds
    ]
    if shown.marks:
        out.append(
            Line2D([], [], color="0.3", marker="D", linestyle="", markeredgecolor="black", label="recommended m")
        )
    if shown.missed:
        out.append(
            Line2D(
                [],
                [],
                color="0.3",
                linestyle=MISSED_LINE,
                linewidth=0.8,
                label="fitted form where it misses (curve: smoothing spline)",
            )
        )
    for label in sorted({f"{100 * level:g} % CI ({BANDS[method]})" for method, level in shown.bands}):
        out.append(Patch(color="0.3", alpha=BAND_ALPHA, linewidth=0, label=label))
    out += [
        Patch(facecolor=colour, edgecolor=REGION_EDGE, linewidth=0.4, label=name)
        for name, colour in REGION_COLOURS.items()
        if name in shown.regions
    ]
    return out


def add_legend(figure: Figure, shown: Shown) -> None:
    """Add the legend below the panels, in row order, and extend the figure by its height.

    Args:
        figure: the figure, drawn already.
        shown: what it shows.
    """
    names, parts = curves_drawn(shown), parts_drawn(shown)
    longest = max(len(line) for handle in names + parts for line in str(handle.get_label()).split("\n"))
    room = int(figure.get_figwidth() / (LEGEND.handle_inches + LEGEND.character_inches * longest))
    columns = min(len(names) + len(parts), max(1, room))
    if columns < len(names) + len(parts):
        names += [Line2D([], [], linestyle="", label=" ") for _ in range(-len(names) % columns)]
    handles = names + parts
    lines = sum(1 + str(handle.get_label()).count("\n") for handle in handles[::columns])
    figure.set_figheight(figure.get_figheight() + LEGEND.row_inches * lines)
    figure.legend(
        handles=by_row(handles, columns), loc="outside lower center", ncols=columns, frameon=False, handlelength=3
    )


def by_row(handles: Sequence[Artist], columns: int) -> list[Artist]:
    """Reorder entries so that Matplotlib, which fills columns first, shows them row by row.

    Args:
        handles: legend entries in reading order.
        columns: of the legend.
    """
    return [handle for column in range(columns) for handle in handles[column::columns]]


def _fill(kind: str) -> str:
    return HOLLOW if kind == "utility" else "0.3"


def _wrapped(name: str) -> str:
    return "\n".join(textwrap.wrap(name, LEGEND.characters)) or name
