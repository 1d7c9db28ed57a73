"""Cells of Markdown and LaTeX tables that hold names and sentences, whatever signs of the table's own are in them."""

from __future__ import annotations

from collections.abc import Iterable

_LATEX = str.maketrans(
    {
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
    }
)


def markdown_row(cells: Iterable[str]) -> str:
    """A row of a Markdown table: every cell on one line, and no bar in it ends it.

    Args:
        cells: any texts.
    """
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def latex_cell(text: str) -> str:
    """A text as LaTeX prints it.

    Args:
        text: any text.
    """
    return text.translate(_LATEX)
