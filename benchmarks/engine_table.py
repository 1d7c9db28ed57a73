"""What the engine's benchmark measured, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

COLUMNS = (
    ("tokens", "{:.1f}"), ("eta_alg", "{:.2f}"), ("eta_hw", "{:.2f}"), ("sweep_s", "{:.4f}"), ("sweep_x", "x{:.1f}"),
    ("step_s", "{:.3f}"), ("step_x", "x{:.2f}"), ("diff_mean_x", "x{:.1f}"), ("peak_mb", "{:.0f}"),
    ("peak_plain_mb", "{:.0f}"), ("difference_nats", "{:.1e}"),
)  # fmt: skip


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown."""
    shown = [(key, style) for key, style in COLUMNS if any(key in row for row in rows)]
    head = ["case", "form", *(key for key, _ in shown)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        cells = [style.format(row[key]) if key in row else "" for key, style in shown]
        lines.append("| " + " | ".join([row["case"], row["form"], *cells]) + " |")
    return "\n".join(lines)


def shown(measured: dict[str, Any]) -> str:
    """A file's numbers as text: where they were measured, and the table."""
    where = f"{measured['device']}, torch {measured['torch']}, transformers {measured['transformers']}"
    return f"{where}:\n\n{table(measured['rows'])}"
