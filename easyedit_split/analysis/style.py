"""Colours and sizes of the figures: safe for colour-blind readers, legible in print and in grey.

Colours are Okabe and Ito's; every curve also differs by marker, and preference from utility by line style.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

COLOURS: tuple[str, ...] = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS: tuple[str, ...] = ("o", "s", "^", "D", "v", "P", "X")
LINES: Mapping[str, tuple[float, tuple[float, ...]]] = MappingProxyType(
    {"preference": (0, ()), "utility": (0, (4.0, 1.4))}
)
REGION_COLOURS: Mapping[str, str] = MappingProxyType(
    {"linear": "#DCE9F5", "transitional": "#FBF3DC", "convergence": "#EDEDED"}
)
RC: Mapping[str, object] = MappingProxyType(
    {
        "font.size": 8,
        "axes.titlesize": 9,
        "axes.labelsize": 8,
        "legend.fontsize": 7,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.6,
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
