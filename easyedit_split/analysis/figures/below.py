"""Panels below the curves of a figure: KL divergence per token over m, and generated texts at some m.

KL(m)    nats per token against the unsteered model, on neutral prompts; an axis from 0
texts    one line of text for each m, of one prompt
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ...types import DataError
from .drawing import Drawn
from .style import Look

CHARACTERS_PER_INCH = 20
"""Of the texts' font."""
TEXT_SIZE = 6.0
LINE_INCHES = 0.115
MOST_TEXTS = 7
NEAR_ZERO = 0.25
"""Of the swept range: a smaller one of side effects is drawn over an axis of its own."""


def draw_collateral(ax: Axes, inside: Sequence[tuple[Drawn, Look]]) -> None:
    """Draw KL per token over m for every intervention of a panel that it was measured of.

    Args:
        ax: axes to draw into.
        inside: the interventions, with colour and marker.
    """
    for item, style in inside:
        if item.collateral is not None:
            m = np.union1d(item.collateral.m, [0.0])
            kl = item.collateral.at(m)
            ax.plot(m, kl, color=style.colour, marker=style.marker, linewidth=0.8)
            if item.recommendation is not None and item.recommendation.m is not None:
                ax.axvline(item.recommendation.m, color=style.colour, linewidth=0.6, linestyle=":", zorder=1)
    ax.axvline(0.0, color="0.6", linewidth=0.5, zorder=1)
    ax.set_ylim(bottom=0.0)


def measured_near_zero(inside: Sequence[tuple[Drawn, Look]]) -> bool:
    """Whether side effects were measured in so small a part of the swept m that they need an m axis of their own.

    Args:
        inside: the interventions of a panel, with colour and marker.
    """
    swept, measured = [item.fit.curve.preference.m for item, _ in inside], [np.zeros(1)]
    for item, _ in inside:
        if item.collateral is not None:
            marked = item.recommendation.m if item.recommendation is not None else None
            measured.append(np.append(item.collateral.m, [] if marked is None else [marked]))
    return 0.0 < float(np.ptp(np.concatenate(measured))) < NEAR_ZERO * float(np.ptp(np.concatenate(swept)))


def text_lines(texts: pd.DataFrame, width: float, r_per_m: float | None = None) -> list[str]:
    """The lines of one prompt and its answers over m, wrapped.

    Args:
        texts: ``m1, prompt, text``; the first prompt is taken, and at most seven m, evenly among them and 0.
        width: in inches.
        r_per_m: |dh| / |h| at m = 1, if r is to be said as well.

    Raises:
        DataError: a column is missing, or there are no rows.
    """
    missing = [name for name in ("m1", "prompt", "text") if name not in texts.columns]
    if missing or texts.empty:
        raise DataError(f"texts have no {f'column {missing[0]!r}' if missing else 'rows'}: give what `--texts` wrote")
    prompt = texts["prompt"].iloc[0]
    rows = texts[texts["prompt"] == prompt].drop_duplicates("m1").sort_values("m1")
    step = max(1, -(-len(rows) // MOST_TEXTS))
    shown = rows[(rows["m1"].rank(method="first").astype(int) % step == 0) | (rows["m1"] == 0)]
    room, lines = int(width * CHARACTERS_PER_INCH), [str(prompt)]
    for m, text in zip(shown["m1"], shown["text"], strict=True):
        name = f"m = {m:.3g}" + ("" if r_per_m is None else f" (r = {m * r_per_m:.2g})")
        said = " / ".join(line for line in str(text).splitlines() if line.strip()) or "(empty)"
        lines += textwrap.wrap(f"{name}: {said}", room, subsequent_indent="      ")
    return [_printable(line) for line in lines]


def _printable(text: str) -> str:
    """The text with a replacement character for each control character, which no font can draw."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def write_texts_below(ax: Axes, lines: Sequence[str]) -> None:
    """Write lines of text into axes that show nothing else; the first, the prompt, in bold.

    Args:
        ax: axes to write into.
        lines: as ``text_lines`` gives them.
    """
    ax.set_axis_off()
    for k, line in enumerate(lines):
        y, weight = 1 - (k + 0.5) / len(lines), "bold" if k == 0 else "normal"
        ax.text(0, y, line, transform=ax.transAxes, fontsize=TEXT_SIZE, va="center", weight=weight, parse_math=False)
