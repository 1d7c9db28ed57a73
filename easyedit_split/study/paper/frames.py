"""Long tables of a study (equal cost, agreement of judges) as CSV, Markdown and LaTeX."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ...analysis.escaping import latex_cell, markdown_row

Shown = Mapping[str, Sequence[str]]
"""Heading to the columns that stand under it: a value, or a value with the two ends of its interval."""


def frame_csv(table: pd.DataFrame) -> str:
    """A table as CSV, with full precision.

    Args:
        table: any.
    """
    return table.to_csv(index=False, lineterminator="\n")


def frame_markdown(table: pd.DataFrame, title: str, shown: Shown) -> str:
    """A table as Markdown with its title above.

    Args:
        table: any.
        title: one sentence.
        shown: headings and their columns.
    """
    lines = [f"**{title}**", "", markdown_row(shown), "|" + "-|" * len(shown)]
    for row in table.to_dict("records"):
        lines.append(markdown_row(_cell(row, names) for names in shown.values()))
    return "\n".join(lines) + "\n"


def frame_latex(table: pd.DataFrame, shown: Shown) -> str:
    """A table as LaTeX (needs booktabs).

    Args:
        table: any.
        shown: headings and their columns.
    """
    lines = [rf"\begin{{tabular}}{{{'l' * len(shown)}}}", r"\toprule", " & ".join(map(latex_cell, shown)) + r" \\"]
    lines.append(r"\midrule")
    for row in table.to_dict("records"):
        lines.append(" & ".join(latex_cell(_cell(row, names)) for names in shown.values()) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _cell(row: Mapping[Any, Any], names: Sequence[str]) -> str:
    value, *ends = (_said(row[name]) for name in names)
    return value if not value or not all(ends) or not ends else f"{value} [{ends[0]}, {ends[1]}]"


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}"
    return "" if value is None else str(value)
