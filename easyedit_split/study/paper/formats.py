"""A study's tables as CSV, Markdown and LaTeX.

CSV has a row for each number: model, form, method, column, n, mean, sd, the paper's, and its rank; full precision.
Markdown and LaTeX have the paper's layout: best in bold, second underlined, the paper's numbers in brackets.
"""

from __future__ import annotations

import csv
import io
import math

from ...analysis.escaping import latex_cell, markdown_row
from .entries import RowKey, StudyTable, TableEntry

LABELS = ("Model", "Form", "Method")


def as_csv(table: StudyTable) -> str:
    """A table as CSV.

    Args:
        table: of a study.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("model", "form", "method", "column", "n", "mean", "sd", "published", "rank"))
    for row in table.rows:
        for column in table.columns:
            entry = table.entries.get((row, column))
            if entry is not None:
                numbers = (_exact(entry.mean), _exact(entry.sd), _exact(entry.published))
                writer.writerow((*row, column, len(entry.values), *numbers, table.rank(row, column) or ""))
    return text.getvalue()


def as_markdown(table: StudyTable) -> str:
    """A table as Markdown, with its title above and its notes below.

    Args:
        table: of a study.
    """
    lines = [f"**{table.title}**", ""]
    lines += [markdown_row((*LABELS, *table.columns))]
    lines += ["|" + "-|" * len(LABELS) + "-:|" * len(table.columns)]
    for row in table.rows:
        lines.append(markdown_row((*row, *(_markdown(table, row, column) for column in table.columns))))
    notes = [f"- {' '.join(note.split())}" for note in table.notes]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def _markdown(table: StudyTable, row: RowKey, column: str) -> str:
    entry = table.entries.get((row, column))
    if entry is None or not (entry.values or entry.published is not None):
        return ""
    said = _number(entry, table.decimals, " ± ")
    said = {1: f"**{said}**", 2: f"<u>{said}</u>"}.get(table.rank(row, column), said)
    return said + ("" if entry.published is None else f" [{entry.published:.{table.decimals}f}]")


def as_latex(table: StudyTable) -> str:
    """A table as LaTeX (needs booktabs).

    Args:
        table: of a study.
    """
    lines = [rf"\begin{{tabular}}{{lll{'c' * len(table.columns)}}}", r"\toprule"]
    lines += [" & ".join((*LABELS, *map(latex_cell, table.columns))) + r" \\", r"\midrule"]
    before: RowKey = ("", "", "")
    for row in table.rows:
        if before[0] not in ("", row[0]):
            lines.append(r"\midrule")
        shown = (
            row[0] if row[0] != before[0] else "",
            row[1] if row[:2] != before[:2] else "",
            row[2],
        )
        cells = [_latex(table, row, column) for column in table.columns]
        lines.append(" & ".join((*map(latex_cell, shown), *cells)) + r" \\")
        before = row
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _latex(table: StudyTable, row: RowKey, column: str) -> str:
    entry = table.entries.get((row, column))
    if entry is None or not (entry.values or entry.published is not None):
        return ""
    said = _number(entry, table.decimals, r" $\pm$ ")
    said = {1: rf"\textbf{{{said}}}", 2: rf"\underline{{{said}}}"}.get(table.rank(row, column), said)
    return said + ("" if entry.published is None else f" [{entry.published:.{table.decimals}f}]")


def _number(entry: TableEntry, decimals: int, sign: str) -> str:
    if not entry.values:
        return "-"
    spread = "" if math.isnan(entry.sd) else f"{sign}{entry.sd:.{decimals}f}"
    return f"{entry.mean:.{decimals}f}{spread}"


def _exact(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else repr(float(value))
