"""Write the short effect table of docs/testbed.md from the cells.csv of ``effect.py --keep FOLDER``.

    python benchmarks/effect_table.py [docs/data/effect.csv]            print the table
    python benchmarks/effect_table.py --write docs/testbed.md           put it between the page's marks

A line is one form on one dataset and model at the block's output. A number is the preference gained (nats) at the best
m within the utility budget; in persona it is the share of right answers there. Brackets: the cell does not pass. The
last column counts the random draws that pass. tests/test_docs.py holds the page against the file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

CELLS = Path(__file__).parents[1] / "docs" / "data" / "effect.csv"
BEGIN, END = "<!-- effect table: begin -->\n", "<!-- effect table: end -->\n"


def cell_text(cell: pd.Series) -> str:
    """Result of one trained cell, in brackets where it does not pass."""
    reached = f"{cell.accuracy:.0%}" if cell.dataset == "persona" else f"{cell.rise:+.1f}"
    return reached if cell.passed else f"({reached})"


def short_table(cells: pd.DataFrame) -> str:
    """Table with a row for each model, dataset and form, and a column for each objective and the random controls."""
    at_block = cells[cells.placement == "block_output"]
    trained, random = (at_block[(at_block.kind == "trained") == kind] for kind in (True, False))
    objectives = list(dict.fromkeys(trained.objective))
    lines = [
        f"| model | dataset | form | {' | '.join(objectives)} | random draws that pass |",
        "|-|-|-|" + "-:|" * (len(objectives) + 1),
    ]
    keys = ["model", "dataset", "form"]
    for key, group in trained.groupby(keys, sort=False):
        found = group.set_index("objective").apply(cell_text, axis=1)
        draws = random[(random[keys] == list(key)).all(axis=1)]
        counts = f"{int(draws.passed.sum())} of {len(draws)}" if len(draws) else ""
        lines.append(f"| {' | '.join(key)} | {' | '.join(found.get(name, '') for name in objectives)} | {counts} |")
    return "\n".join(lines) + "\n"


def with_table(page: str, table: str) -> str:
    """The page with the table inserted between its marks."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}{table}{END}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", nargs="?", type=Path, default=CELLS, help="cells.csv of benchmarks/effect.py")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="replace the table in this page")
    given = parser.parse_args()
    table = short_table(pd.read_csv(given.cells))
    if given.write:
        given.write.write_text(with_table(given.write.read_text("utf-8"), table), "utf-8")
    else:
        print(table, end="")


if __name__ == "__main__":
    main()
