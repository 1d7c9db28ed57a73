"""Run everything hostile and print one table; ``--write`` puts it into docs/safety.md.

With ``--state FOLDER`` every finished kind is kept there, and what is there already is not run again, so that a run
goes on where it was stopped. ``--part 2/3`` runs the second third of every kind; runs of all parts with one folder, one
after the other or side by side, print the table of the whole.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import torch

from . import artifacts, disks, folders, imported, kills, tables
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
    ("other tools' files", imported.case, 500),
)
RUNS: tuple[tuple[str, Callable[[Place, int], tuple[str, str]], int], ...] = (
    ("SIGKILLs", kills.kill, 300),
    ("pairs of writers", kills.writers, 50),
)
Fill = Callable[[Place, str, int], tuple[str, str]]
DISKS: tuple[tuple[str, Fill, Callable[[Place], list[tuple[str, int]]]], ...] = (
    ("disks full at each change", disks.refused_case, disks.operations),
    ("file systems really full", disks.filled_case, disks.sizes),
)
COLUMNS = ("clear", "equal", "lenient", "long", "traceback", "slow", "wrong")


@dataclasses.dataclass(frozen=True)
class Asked:
    """Which share of the cases, and which part of those."""

    share: float
    part: int
    parts: int

    def seeds(self, count: int, least: int = 1) -> range:
        """This part's seeds of a kind of so many cases."""
        whole = max(least, round(count * self.share))
        return range(whole * (self.part - 1) // self.parts, whole * self.part // self.parts)


def tallies(asked: Asked, folder: Path, wanted: Callable[[str], bool]) -> Iterator[Tally]:
    """Every kind that is wanted, each with its share of cases."""
    for kind, case, count in (found for found in KINDS if wanted(found[0])):
        place, seeds = folder / kind.replace(" ", "-"), asked.seeds(count)
        place.mkdir()
        yield run_kind(kind, case, len(seeds), place, seeds.start)
    runs = [found for found in RUNS if wanted(found[0])]
    full = [found for found in DISKS if wanted(found[0])]
    if not runs and not full:
        return
    (folder / "runs").mkdir()
    here = Place(folder / "runs")
    for kind, attempt, count in runs:
        tally = Tally(kind)
        for seed in asked.seeds(count, 6):
            tally.add(*attempt(here, seed))
        yield tally
    for kind, fill, listed in full:
        if fill is disks.filled_case and not disks.can_mount(here):
            print(f"{kind}: nothing can be mounted here, so none was tried", flush=True)
            continue
        cases, tally = listed(here), Tally(kind)
        seeds = asked.seeds(len(cases), 6)
        step = len(cases) / max(6, round(len(cases) * asked.share))
        for command, at in (cases[min(int(seed * step), len(cases) - 1)] for seed in seeds):
            tally.add(*fill(here, command, at))
        yield tally


def row(tally: Tally) -> str:
    """A row of the table."""
    return f"| {tally.kind} | {tally.tried:,} | " + " | ".join(f"{tally.counts.get(c, 0):,}" for c in COLUMNS) + " |"


def kept(state: Path | None, asked: Asked, kind: str) -> Path | None:
    """The file of a part of a kind."""
    name = "".join(c if c.isalnum() else "-" for c in kind)
    return None if state is None else state / f"{name}.{asked.share:g}.{asked.part}-of-{asked.parts}.json"


def together(state: Path, asked: Asked, kind: str) -> Tally:
    """The tally of all parts of a kind that are there; where it was cut in several ways, of the way with most cases."""
    ways: dict[str, Tally] = {}
    name = cast(Path, kept(state, asked, kind)).name.rsplit(".", 2)[0]
    for path in sorted(state.glob(f"{name}.*-of-*.json")):
        one, whole = (
            Tally(**json.loads(path.read_text("utf-8"))),
            ways.setdefault(path.name.split("-of-")[1], Tally(kind)),
        )
        whole.tried += one.tried
        whole.examples += one.examples
        for outcome, count in one.counts.items():
            whole.counts[outcome] = whole.counts.get(outcome, 0) + count
    return max(ways.values(), key=lambda whole: whole.tried, default=Tally(kind))


def main() -> None:
    """Print the table, and what should not be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="share of the full number of cases")
    parser.add_argument("--only", default="", help="kinds whose name has this in it, a regular expression")
    parser.add_argument("--part", default="1/1", help="e.g. 2/3: the second third of every kind")
    parser.add_argument("--state", type=Path, help="folder in which finished kinds are kept")
    parser.add_argument("--write", action="store_true", help="put the table into docs/safety.md")
    chosen = parser.parse_args()
    part, parts = map(int, chosen.part.split("/"))
    asked = Asked(chosen.share, part, parts)
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        state = chosen.state or Path(folder) / "state"
        state.mkdir(parents=True, exist_ok=True)

        def wanted(kind: str) -> bool:
            path = kept(state, asked, kind)
            return bool(re.search(chosen.only, kind)) and not (path is not None and path.is_file())

        head = f"| what | tried | {' | '.join(COLUMNS)} |\n|{'-|' * (2 + len(COLUMNS))}"
        begun = time.monotonic()
        for tally in tallies(asked, Path(folder), wanted):
            path = kept(state, asked, tally.kind)
            assert path is not None
            path.write_text(json.dumps(dataclasses.asdict(tally)), "utf-8")
            print(f"{row(tally)} {time.monotonic() - begun:.0f} s", flush=True)
            begun = time.monotonic()
        every = [together(state, asked, kind) for kind, *_ in (*KINDS, *RUNS, *DISKS)]
        every = [tally for tally in every if re.search(chosen.only, tally.kind)]
    rows = [row(tally) for tally in every if tally.tried]
    print("\n".join([head, *rows]), flush=True)
    for example in (example for tally in every for example in tally.examples):
        print(f"\n{example}")
    if chosen.write:
        text = PAGE.read_text("utf-8")
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}\n\n{head}\n" + "\n".join(rows) + f"\n\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
