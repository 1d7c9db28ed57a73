"""Put the tables and figures of finished studies into the README and docs/paper.md.

    python benchmarks/study_docs.py --keep STUDY --as NAME   its tables and its figure into docs
    python benchmarks/study_docs.py --write                  the tables between the marks of the pages

STUDY is what ``easyedit-split paper ... --out STUDY`` wrote, NAME one of ``STUDIES``. tests/test_docs.py holds the
pages against the kept tables, and each figure against the study whose tables they are.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from easyedit_split.analysis.r2_tables import FORMS, OBJECTIVES
from easyedit_split.study.paper.iso_entries import KL_BUDGETS, UTILITY_SHARES

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "docs" / "data" / "studies"
FIGURES = ROOT / "docs" / "figures"
R2 = {"table2": "train", "table5": "test", "table6": "train on test"}
WHOLE = (*R2, "table3", "rivals", "verdicts", "iso-utility", "iso-kl")
AT_COST = ("verdicts", "iso-utility", "iso-kl")
LEAST = min(share for share in UTILITY_SHARES if share)
SMALLEST = {"utility": f"{LEAST:.0%} of utility", "kl": f"{min(KL_BUDGETS)} nats of KL"}
"""What the smallest budget of each cost above none is called."""


@dataclass(frozen=True)
class KeptStudy:
    """A study whose tables stand in the pages.

    Attributes:
        name: of its folder.
        tables: that are kept.
        drawn: its figure that is kept, as ``study-NAME.png``; none where empty.
        root: where the folders of kept studies lie.
    """

    name: str
    tables: tuple[str, ...]
    drawn: str = ""
    root: Path = KEPT

    @property
    def folder(self) -> Path:
        """Where its tables are kept."""
        return self.root / self.name

    @property
    def figure(self) -> Path:
        """Its kept figure."""
        return FIGURES / f"study-{self.name}.png"

    def read(self, table: str) -> pd.DataFrame:
        """One of its tables."""
        return pd.read_csv(self.folder / f"{table}.csv", keep_default_na=False, na_values=[""])

    def sums(self) -> dict[str, str]:
        """Digests of plan, tables and figure: whoever changes one alone is found."""
        files = [*sorted(self.folder.glob("*.csv")), self.folder / "plan.json", *([self.figure] if self.drawn else [])]
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    @property
    def known_sums(self) -> Path:
        """Where the digests are kept."""
        return self.folder / "sha256.json"

    def keep(self, study: Path) -> None:
        """Copy what the pages show of a study, and its plan without the places of its files."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for table in self.tables:
            shutil.copyfile(study / "tables" / f"{table}.csv", self.folder / f"{table}.csv")
        plan = json.loads((study / "plan.json").read_text("utf-8"))
        for data in plan["datasets"]:
            data["name"] = data["label"]
        (self.folder / "plan.json").write_text(json.dumps(plan, indent=1) + "\n", "utf-8")
        if self.drawn:
            shutil.copyfile(study / "figures" / self.drawn, self.figure)
        self.known_sums.write_text(json.dumps(self.sums(), indent=1) + "\n", "utf-8")


STUDIES = {
    kept.name: kept
    for kept in (
        KeptStudy("smollm2", WHOLE, "figure-r-smollm2-everyday.png"),
        KeptStudy("smollm2-gpu", WHOLE),
        KeptStudy("testbed", WHOLE, "figure-r-testbed-gemma2-power.png"),
        KeptStudy("manners", WHOLE, "figure-r-smollm2-manners.png"),
        KeptStudy("axbench", WHOLE),
        KeptStudy("everyday", (*R2, "rivals", *AT_COST), "figure-r-smollm2-everyday.png"),
        KeptStudy("ablations-testbed", (*AT_COST, "table3")),
        KeptStudy("ablations-smollm2", AT_COST),
        KeptStudy("across", (*AT_COST, "table3")),
    )
}


def r2_table(kept: KeptStudy, model: str) -> str:
    """Tables 2, 5 and 6 in one: R2 of both curves, mean over datasets."""
    columns = {
        f"{kind.lower()}, {said}": _column(kept.read(name), model, f"{kind} Avg")
        for kind in ("Preference", "Utility")
        for name, said in R2.items()
    }
    return _table(columns)


def score_table(kept: KeptStudy, model: str, wanted: Callable[[str], bool]) -> str:
    """Table 3: the scores whose name is wanted, at each chosen m; best in bold, second underlined."""
    table = kept.read("table3")
    names = [name for name in dict.fromkeys(table["column"]) if wanted(name.rpartition(", ")[0])]
    return _table({name: _column(table, model, name) for name in names})


def verdict_table(kept: KeptStudy, model: str) -> str:
    """Preference at equal cost against SPLIT's of the same form: datasets and budgets ahead, behind, undecided."""
    table = kept.read("verdicts")
    table = table[table["model"] == model]
    names = {"cost": "Equal"} | {name: name.capitalize() for name in ("form", "method", "ahead", "behind", "undecided")}
    table = table.assign(form=table["form"].replace(FORMS), method=table["method"].replace(OBJECTIVES))
    rows = [[str(row[name]) for name in names] for _, row in table.iterrows()]
    return _markdown(list(names.values()), rows)


def gain_table(kept: KeptStudy, model: str) -> str:
    """Preference at the smallest budget of each cost: SPLIT's, and how many nats more or less every other cell gains.

    The interval is over pairs; behind it, of several seeds, the standard deviation over them. Bold: the interval leaves
    out 0.
    """
    columns: dict[str, dict[tuple[str, str], str]] = {}
    for cost, said in SMALLEST.items():
        table = kept.read(f"iso-{cost}")
        table = table[table["model"] == model]
        for dataset in dict.fromkeys(table["dataset"]):
            mine = table[table["dataset"] == dataset]
            chosen = mine[mine["budget"] == mine["budget"][mine["budget"] > 0].min()]
            columns[f"{dataset}, {said}"] = {
                (FORMS.get(row["form"], row["form"]), OBJECTIVES.get(row["method"], row["method"])): _gain(row)
                for _, row in chosen.iterrows()
            }
    return _table(columns)


COMPARED = {
    "R2 (tables 2, 5, 6)": ("mean", tuple(R2), ["column", "form", "method"]),
    "Judged scores, 0 to 2 (table 3)": ("mean", ("table3",), ["column", "form", "method"]),
    "Preference at equal utility, nats": ("pref", ("iso-utility",), ["dataset", "budget", "form", "method"]),
    "Preference at equal KL, nats": ("pref", ("iso-kl",), ["dataset", "budget", "form", "method"]),
}
"""What two studies are compared in: the column, the tables that have it, and what names a row."""


def agreement_table(kept: KeptStudy, model: str, other: KeptStudy) -> str:
    """How far the numbers of two studies of the same cells lie apart: median, 95 % of them, all; and equal verdicts."""
    rows = []
    for said, (value, names, keys) in COMPARED.items():
        both = pd.concat([_beside(kept.read(name), other.read(name), model, keys, [value]) for name in names])
        mine, its = (both[f"{value}{of}"] for of in ("_a", "_b"))
        alone = int((mine.isna() ^ its.isna()).sum())
        numbers = [f"{(mine - its).abs().quantile(share):.3f}" for share in (0.5, 0.95, 1.0)]
        rows.append([f"{said}, {alone} in one alone" if alone else said, str(len(both)), *numbers])
    tables, ends = [(study.read("iso-utility"), study.read("iso-kl")) for study in (kept, other)], ["vs_low", "vs_high"]
    both = pd.concat([_beside(*pair, model, keys, ends) for pair in zip(*tables, strict=True)]).dropna()
    mine, its = (1 * (both[f"vs_low{of}"] > 0) - 1 * (both[f"vs_high{of}"] < 0) for of in ("_a", "_b"))
    rows.append([f"Against SPLIT ahead, behind or undecided: {(mine == its).sum()} equal", str(len(both)), "", "", ""])
    return _markdown(["What", "Numbers", "Median difference", "95 % within", "Largest"], rows)


def _beside(a: pd.DataFrame, b: pd.DataFrame, model: str, keys: list[str], values: list[str]) -> pd.DataFrame:
    """Columns of two tables row by row, ``_a`` and ``_b``; neither means over datasets nor percentages."""
    a, b = (table[table["model"] == model] for table in (a, b))
    if "column" in keys:
        a, b = (table[~table["column"].str.contains("accuracy| Avg")] for table in (a, b))
    else:  # nats, which rounding moves: the first, second and third of each dataset
        a, b = (table.assign(budget=table.groupby("dataset")["budget"].rank("dense")) for table in (a, b))
    mine, its = (table[[*keys, *values]] for table in (a, b))
    return mine.merge(its, on=keys, how="outer", suffixes=("_a", "_b"), validate="one_to_one")


def _gain(row: pd.Series) -> str:
    if pd.isna(row["pref_vs_split"]):
        return f"{row['pref']:.2f} nats"
    low, high = row["vs_low"], row["vs_high"]
    text = f"{row['pref_vs_split']:+.2f} [{low:+.2f}, {high:+.2f}]"
    text = f"**{text}**" if low > 0 or high < 0 else text
    return text if pd.isna(row["vs_sd"]) else f"{text} sd {row['vs_sd']:.2f}"


def _column(table: pd.DataFrame, model: str, name: str) -> dict[tuple[str, str], str]:
    """Entries of one column by form and method, marked."""
    chosen = table[(table["column"] == name) & (table["model"] == model)]
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
    ruled = "|".join("-:" if name not in ("Form", "Method", "Equal", "What") else "-" for name in head)
    return "\n".join([f"| {' | '.join(head)} |", f"|{ruled}|", *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


Block = Callable[[KeptStudy, str], str]
STUDY_BLOCKS: Mapping[str, Block] = {
    "R2": r2_table,
    "scores": partial(score_table, wanted=lambda name: name.endswith((" overall", " accuracy"))),
    "verdicts": verdict_table,
}
GAIN_BLOCKS: Mapping[str, Block] = {
    "gains": gain_table,
    **{name: STUDY_BLOCKS[name] for name in ("scores", "verdicts")},
}
TEXTLESS: Mapping[str, Block] = {"R2": r2_table, "gains": gain_table, "verdicts": verdict_table}
SHOWN: tuple[tuple[str, str, Mapping[str, Block]], ...] = (
    ("smollm2", "smollm2", STUDY_BLOCKS),
    ("smollm2-gpu", "smollm2", {"agreement": partial(agreement_table, other=STUDIES["smollm2"])}),
    ("testbed", "testbed:gemma2", STUDY_BLOCKS),
    ("testbed", "testbed:qwen2", STUDY_BLOCKS),
    ("manners", "smollm2", STUDY_BLOCKS),
    ("axbench", "smollm2", {**TEXTLESS, **STUDY_BLOCKS}),
    ("everyday", "smollm2", TEXTLESS),
    ("ablations-testbed", "testbed:gemma2", GAIN_BLOCKS),
    ("ablations-smollm2", "smollm2", {"gains": gain_table, "verdicts": verdict_table}),
    ("across", "testbed:gemma2", GAIN_BLOCKS),
    ("across", "testbed:qwen2", GAIN_BLOCKS),
)
"""Kept study, model, and what a block of a page may show of them: ``<!-- study NAME MODEL WHAT: begin -->``."""
BLOCKS: Mapping[str, Callable[[], str]] = {
    f"{name} {model} {what}": partial(make, STUDIES[name], model)
    for name, model, blocks in SHOWN
    for what, make in blocks.items()
}
PAGES = (ROOT / "README.md", ROOT / "docs" / "paper.md")


def mark(name: str, which: str) -> str:
    """The line that begins or ends a block."""
    return f"<!-- study {name}: {which} -->\n"


def named(page: str) -> list[str]:
    """The blocks that a page has."""
    return re.findall(r"<!-- study (.+): begin -->", page)


def with_blocks(page: str, blocks: Mapping[str, str]) -> str:
    """The page with each block that it has between its marks."""
    for name, text in blocks.items():
        if mark(name, "begin") not in page:
            continue
        before, rest = page.split(mark(name, "begin"))
        _, after = rest.split(mark(name, "end"))
        page = f"{before}{mark(name, 'begin')}{text}{mark(name, 'end')}{after}"
    return page


def main() -> None:
    """Keep a study, write the pages, or print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, metavar="STUDY", help="folder of a finished study")
    parser.add_argument("--as", dest="name", choices=STUDIES, help="which of the kept studies it is")
    parser.add_argument("--write", action="store_true", help="put the kept tables into the pages")
    given = parser.parse_args()
    if bool(given.keep) != bool(given.name):
        parser.error("--keep STUDY and --as NAME go together: which study is it?")
    if given.keep:
        STUDIES[given.name].keep(given.keep)
    if given.write:
        for path in PAGES:
            text = path.read_text("utf-8")
            path.write_text(with_blocks(text, {name: BLOCKS[name]() for name in named(text)}), "utf-8")
    if not given.keep and not given.write:
        print("\n".join(f"{name}\n\n{make()}" for name, make in BLOCKS.items()))


if __name__ == "__main__":
    main()
