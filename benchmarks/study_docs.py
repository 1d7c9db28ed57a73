"""Put the tables and the figure of a finished study of a real model into the README and docs/paper.md.

    python benchmarks/study_docs.py --keep STUDY     its tables into docs/data/study, its figure into docs/figures
    python benchmarks/study_docs.py --write          the tables between the marks of the pages

STUDY is what ``easyedit-split paper --model smollm2 ... --out STUDY`` wrote. tests/test_docs.py holds the pages against
the kept tables, and the figure against the study whose tables they are.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from easyedit_split.analysis.r2_tables import FORMS, OBJECTIVES

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "docs" / "data" / "study"
FIGURE = ROOT / "docs" / "figures" / "study.png"
SUMS = KEPT / "sha256.json"
"""Digests of plan, tables and figure of one study: whoever changes one alone is found."""
TABLES = ("table2", "table3", "table5", "table6", "verdicts")
DRAWN = "figure-r-smollm2-everyday.png"
R2 = {"table2": "train", "table5": "test", "table6": "train on test"}


def read(name: str, folder: Path = KEPT) -> pd.DataFrame:
    """One of the kept tables."""
    return pd.read_csv(folder / f"{name}.csv", keep_default_na=False, na_values={"mean": "", "sd": "", "rank": ""})


def r2_table(folder: Path = KEPT) -> str:
    """Tables 2, 5 and 6 in one: R2 of both curves, mean over datasets."""
    columns = {
        f"{kind.lower()}, {said}": (read(name, folder), f"{kind} Avg")
        for kind in ("Preference", "Utility")
        for name, said in R2.items()
    }
    return _table({heading: _column(table, column) for heading, (table, column) in columns.items()})


def score_table(wanted: Callable[[str], bool], folder: Path = KEPT) -> str:
    """Table 3: the scores whose name is wanted, at each chosen m; best in bold, second underlined."""
    table = read("table3", folder)
    names = [name for name in dict.fromkeys(table["column"]) if wanted(name.rpartition(", ")[0])]
    return _table({name: _column(table, name) for name in names})


def verdict_table(folder: Path = KEPT) -> str:
    """Preference at equal cost against SPLIT's of the same form: datasets and budgets ahead, behind, undecided."""
    table = pd.read_csv(folder / "verdicts.csv")
    names = {"cost": "Equal", "form": "Form", "method": "Method", "ahead": "Ahead", "behind": "Behind"}
    names["undecided"] = "Undecided"
    table = table.assign(form=table["form"].map(FORMS), method=table["method"].map(OBJECTIVES))
    rows = [[str(row[name]) for name in names] for _, row in table.iterrows()]
    return _markdown(list(names.values()), rows)


def _column(table: pd.DataFrame, name: str) -> dict[tuple[str, str], str]:
    """Entries of one column by form and method, marked."""
    chosen = table[table["column"] == name]
    return {(row.form, row.method): _entry(row.mean_, row.rank_) for row in chosen.rename(
        columns={"mean": "mean_", "rank": "rank_"}).itertuples()}  # fmt: skip


def _entry(mean: float, rank: float) -> str:
    if pd.isna(mean):
        return ""
    return {1: f"**{mean:.2f}**", 2: f"<u>{mean:.2f}</u>"}.get(rank, f"{mean:.2f}")


def _table(columns: Mapping[str, Mapping[tuple[str, str], str]]) -> str:
    keys = list(dict.fromkeys(key for column in columns.values() for key in column))
    rows = [[*key, *(column.get(key, "") for column in columns.values())] for key in keys]
    return _markdown(["Form", "Method", *columns], rows)


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    ruled = "|".join("-:" if name not in ("Form", "Method", "Equal") else "-" for name in head)
    return "\n".join([f"| {' | '.join(head)} |", f"|{ruled}|", *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def _overall(name: str) -> bool:
    return name.endswith((" overall", "psychopathy accuracy"))


BLOCKS: Mapping[str, Callable[[], str]] = {
    "R2": r2_table,
    "scores": lambda: score_table(_overall),
    "all scores": lambda: score_table(lambda name: True),
    "verdicts": verdict_table,
}
PAGES = {ROOT / "README.md": ("R2", "scores"), ROOT / "docs" / "paper.md": ("R2", "all scores", "verdicts")}


def with_blocks(page: str, blocks: Mapping[str, str]) -> str:
    """The page with each block between its marks."""
    for name, text in blocks.items():
        begin, end = (f"<!-- study {name}: {which} -->\n" for which in ("begin", "end"))
        before, rest = page.split(begin)
        _, after = rest.split(end)
        page = f"{before}{begin}{text}{end}{after}"
    return page


def sums() -> dict[str, str]:
    """Digests of what is kept."""
    files = [*sorted(KEPT.glob("*.csv")), KEPT / "plan.json", FIGURE]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def keep(study: Path) -> None:
    """Copy what the pages show of a study, and its plan."""
    KEPT.mkdir(parents=True, exist_ok=True)
    for name in TABLES:
        shutil.copyfile(study / "tables" / f"{name}.csv", KEPT / f"{name}.csv")
    plan = json.loads((study / "plan.json").read_text("utf-8"))
    for data in plan["datasets"]:
        data["name"] = data["label"]  # where its files lie is nobody's business
    (KEPT / "plan.json").write_text(json.dumps(plan, indent=1) + "\n", "utf-8")
    shutil.copyfile(study / "figures" / DRAWN, FIGURE)
    SUMS.write_text(json.dumps(sums(), indent=1) + "\n", "utf-8")


def main() -> None:
    """Keep a study, write the pages, or print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, metavar="STUDY", help="folder of a finished study")
    parser.add_argument("--write", action="store_true", help="put the kept tables into the pages")
    given = parser.parse_args()
    if given.keep:
        keep(given.keep)
    if given.write:
        for path, names in PAGES.items():
            path.write_text(with_blocks(path.read_text("utf-8"), {name: BLOCKS[name]() for name in names}), "utf-8")
    if not given.keep and not given.write:
        print("\n".join(f"{name}\n\n{make()}" for name, make in BLOCKS.items()))


if __name__ == "__main__":
    main()
