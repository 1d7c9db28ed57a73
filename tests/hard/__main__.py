"""Run everything hostile and print one table; ``--write`` puts it into docs/safety.md."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from . import artifacts, folders, kills, tables
from .runs import Place
from .tally import Case, Tally, run_kind

PAGE = Path(__file__).parents[2] / "docs" / "safety.md"
BEGIN, END = "<!-- made by make hard -->", "<!-- end -->"

KINDS: tuple[tuple[str, Case, int], ...] = (
    ("artifacts", artifacts.case, 10_000),
    ("sweep tables", tables.table_case, 5_000),
    ("data files", tables.data_case, 4_000),
    ("YAML settings", tables.yaml_case, 2_000),
    ("activations (npz)", tables.npz_case, 1_500),
    ("journals", tables.journal_case, 500),
    ("bits flipped in parquet", tables.bit_case, 500),
    ("model folders", folders.model_case, 200),
    ("EasyEdit2's files", folders.vector_case, 500),
)
RUNS: tuple[tuple[str, Callable[[Place, int], Tally], int], ...] = (
    ("SIGKILLs", kills.kills, 300),
    ("pairs of writers", kills.writers, 50),
    ("full disks", kills.disks, 240),
)
COLUMNS = ("clear", "equal", "lenient", "long", "traceback", "slow", "wrong")


def tallies(share: float, folder: Path, only: str) -> Iterator[Tally]:
    """Every kind, each with a share of its number of cases."""
    for kind, case, count in (found for found in KINDS if only in found[0]):
        place = folder / kind.replace(" ", "-")
        place.mkdir()
        yield run_kind(kind, case, max(1, round(count * share)), place)
    if not any(only in kind for kind, _, _ in RUNS):
        return
    place = folder / "runs"
    place.mkdir()
    here = Place(place)
    for kind, runs, count in (found for found in RUNS if only in found[0]):
        tally = runs(here, max(6, round(count * share)))
        tally.kind = kind
        yield tally


def row(tally: Tally) -> str:
    """A row of the table."""
    return f"| {tally.kind} | {tally.tried:,} | " + " | ".join(f"{tally.counts.get(c, 0):,}" for c in COLUMNS) + " |"


def main() -> None:
    """Print the table, and what should not be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="share of the full number of cases")
    parser.add_argument("--only", default="", help="kinds whose name holds this")
    parser.add_argument("--write", action="store_true", help="put the table into docs/safety.md")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    head = f"| what | tried | {' | '.join(COLUMNS)} |\n|{'-|' * (2 + len(COLUMNS))}"
    print(head, flush=True)
    rows, examples = [], []
    with tempfile.TemporaryDirectory() as folder:
        for tally in tallies(chosen.share, Path(folder), chosen.only):
            rows.append(row(tally))
            examples += tally.examples
            print(rows[-1], flush=True)
    for example in examples:
        print(f"\n{example}")
    if chosen.write:
        text = PAGE.read_text("utf-8")
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}\n\n{head}\n" + "\n".join(rows) + f"\n\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
