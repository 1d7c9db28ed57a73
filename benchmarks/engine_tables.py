"""Write the tables of docs/engine.md from the files of ``engine.py --json FILE``.

    python benchmarks/engine_tables.py docs/data/engine_cpu.json             print the tables
    python benchmarks/engine_tables.py --write docs/engine.md                put them between the page's marks

tests/test_docs.py holds the page against the files in docs/data.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[1] / "docs" / "data"
FILES = (DATA / "engine_cpu.json", DATA / "engine_cuda.json")
BEGIN, END = "<!-- engine tables: begin -->\n", "<!-- engine tables: end -->\n"
TITLES = {
    "shape": "The least work over the work counted, at the real shapes (eta_alg; no weights needed)",
    "sweep": "Sweep: seconds per pair and m",
    "step": "Training step: seconds per step",
    "means": "DiffMean's means: seconds per pair",
    "job": "Whole job, from the medians above: 18 epochs and a sweep of 41 points, 64 pairs each, seconds",
}
COLUMNS = (
    ("form", "form", "{}"),
    ("pairs", "pairs", "{}"),
    ("batch", "pairs a step", "{}"),
    ("directions", "directions", "{}"),
    ("launch_tokens", "tokens a launch", "{:,}"),
    ("sweep_eta", "sweep", "{:.3f}"),
    ("step_eta", "training", "{:.3f}"),
    ("engine_s", "engine s", "{:.3g}"),
    ("plain_s", "plain s", "{:.3g}"),
    ("plain_x", "plain / engine", "x{:.1f}"),
    ("easyedit_s", "EasyEdit2 s", "{:.3g}"),
    ("easyedit_x", "EasyEdit2 / engine", "x{:.1f}"),
    ("easyedit_two_s", "EasyEdit2, two preference pairs s", "{:.3g}"),
    ("easyedit_two_x", "EasyEdit2, two / engine", "x{:.1f}"),
    ("work_x", "less work", "x{:.1f}"),
    ("engine_eta_alg", "eta_alg", "{:.2f}"),
    ("plain_eta_alg", "plain eta_alg", "{:.2f}"),
    ("engine_eta_hw", "eta_hw", "{:.2f}"),
    ("plain_eta_hw", "plain eta_hw", "{:.2f}"),
    ("engine_mb", "engine MB", "{:,.0f}"),
    ("plain_mb", "plain MB", "{:,.0f}"),
    ("easyedit_mb", "EasyEdit2 MB", "{:,.0f}"),
    ("difference_nats", "difference, nats", "{:.0e}"),
    ("spread_nats", "plain's own, nats", "{:.0e}"),
)
"""Key in the file, heading, how it is written."""


def tables(measured: dict[str, Any]) -> str:
    """The measured device, one table for each part, and the distribution of the engine's time.

    Args:
        measured: a file of `engine.py --json`.
    """
    said = [f"**{heading(measured)}**"]
    for part, title in TITLES.items():
        rows = [row for row in measured["rows"] if row["part"] == part]
        if rows:
            said += [f"{title}.", table(rows)]
    profiled = [row for row in measured["rows"] if row.get("time")]
    if profiled:
        said += ["Where the engine's time goes, by torch's profiler.", table_of_time(profiled)]
    said += [f"Not measured: {line}" for line in measured.get("notes", [])]
    return "\n\n".join(said) + "\n"


def heading(measured: dict[str, Any]) -> str:
    """Device and package versions.

    Args:
        measured: a file of `engine.py --json`.
    """
    said = f"{measured['device']}, torch {measured['torch']}, transformers {measured['transformers']}"
    rate = measured.get("rate")
    return said if rate is None else f"{said}, measured rate of a large matrix product {rate / 1e12:.3g} TFLOP/s"


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown table; a column appears where any row has it.

    Args:
        rows: of one part.
    """
    shown = [column for column in COLUMNS if any(row.get(column[0]) is not None for row in rows)]
    cells = [[row["case"], *(_cell(row, key, style) for key, _, style in shown)] for row in rows]
    return _markdown(["model and texts", *(title for _, title, _ in shown)], cells)


def table_of_time(rows: Sequence[dict[str, Any]]) -> str:
    """Shares of the time of a forward pass or step by kind of kernel.

    Args:
        rows: that were profiled.
    """
    kinds = list(dict.fromkeys(kind for row in rows for kind in row["time"]))
    cells = [
        [f"{row['part']}, {row['case']}", row["form"], *(f"{row['time'].get(kind, 0):.0%}" for kind in kinds)]
        for row in rows
    ]
    return _markdown(["what", "form", *kinds], cells)


def _cell(row: dict[str, Any], key: str, style: str) -> str:
    if row.get(key) is not None:
        return style.format(row[key])
    return "out of memory" if key in row and key.endswith("_s") else ""


def _markdown(head: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    lines = [head, ["-"] + ["-:"] * (len(head) - 1), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def with_tables(page: str, files: Sequence[Path] = FILES) -> str:
    """The page with the tables inserted between its marks.

    Args:
        page: Markdown with both marks.
        files: of `engine.py --json`.
    """
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    found = [tables(json.loads(path.read_text("utf-8"))) for path in files if path.exists()]
    return f"{before}{BEGIN}\n{chr(10).join(found)}\n{END}{after}"


def main() -> None:
    """Print the tables or write them into a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, default=FILES, help="of benchmarks/engine.py --json")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="replace the tables in this page")
    given = parser.parse_args()
    if given.write:
        given.write.write_text(with_tables(given.write.read_text("utf-8"), given.files), "utf-8")
    else:
        print("\n".join(tables(json.loads(path.read_text("utf-8"))) for path in given.files if path.exists()))


if __name__ == "__main__":
    main()
