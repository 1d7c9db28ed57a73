"""Colours, markers and sizes of the figures: colour-blind safe, legible in print and in greyscale.

Colours are Okabe and Ito's; every curve also differs by marker, and preference from utility by line style and by
filled and hollow markers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias, cast, get_args

from ...types import ConfigError

SUFFIXES = (".png", ".svg", ".pdf")
MScale: TypeAlias = Literal["linear", "asinh", "auto"]
"""Of the m axis, see ``m_axis``."""


class Look(NamedTuple):
    """Colour and marker of one curve name."""

    colour: str
    marker: str


class LegendSize(NamedTuple):
    """Space that the legend takes, for the font size below.

    Attributes:
        handle_inches: an entry without its text; character_inches: each character; row_inches: each line.
        characters: of the longest line of an entry.
    """

    handle_inches: float
    character_inches: float
    row_inches: float
    characters: int


COLOURS: tuple[str, ...] = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS: tuple[str, ...] = ("o", "s", "^", "D", "v", "P", "X")
HOLLOW = "white"
BAND_ALPHA = 0.18
LINES: Mapping[str, Literal["-"] | tuple[float, tuple[float, ...]]] = MappingProxyType(
    {"preference": "-", "utility": (0, (4.0, 1.4))}
)
MISSED_LINE: tuple[float, tuple[float, ...]] = (0, (1.0, 1.2))
REGION_COLOURS: Mapping[str, str] = MappingProxyType(
    {"linear": "#DCE9F5", "transitional": "#FBF3DC", "convergence": "#EDEDED"}
)
REGION_EDGE = "0.7"
RC: Mapping[str, object] = MappingProxyType(
    {
        "text.parse_math": False,  # a name with a $ is a name
        "font.size": 8,
        "axes.titlesize": 9,
        "axes.labelsize": 8,
        "legend.fontsize": 7,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.6,
        "axes.ymargin": 0.08,
        "lines.linewidth": 1.2,
        "lines.markersize": 3.2,
        "pdf.fonttype": 42,
        "ps.fonttype": 42,
        "svg.fonttype": "none",
        "savefig.dpi": 300,
        "figure.dpi": 110,
    }
)
PANEL_INCHES = (3.0, 2.1)
LEGEND = LegendSize(0.58, 0.05, 0.17, 60)


def look(k: int) -> Look:
    """Colour and marker of the k-th name; 49 combinations are distinct.

    Args:
        k: 0-based.
    """
    return Look(COLOURS[k % len(COLOURS)], MARKERS[(k + k // len(COLOURS)) % len(MARKERS)])


def check_figure_suffix(path: Path) -> None:
    """Raise ConfigError unless the file's suffix is a figure format that can be written.

    Args:
        path: the file to be written.

    Raises:
        ConfigError: another suffix than .png, .svg or .pdf.
    """
    if path.suffix not in SUFFIXES:
        raise ConfigError(
            f"{path}: cannot write {path.suffix or 'a figure without suffix'}; use {', '.join(SUFFIXES)}."
        )


def check_scale(name: str) -> MScale:
    """A scale of the m axis by its name.

    Args:
        name: ``linear``, ``asinh`` or ``auto``.

    Raises:
        ConfigError: another one.
    """
    if name not in get_args(MScale):
        raise ConfigError(f"no scale {name!r}: write {', '.join(get_args(MScale)[:-1])} or {get_args(MScale)[-1]}")
    return cast(MScale, name)
