"""Write a study's tables, each as CSV, Markdown and LaTeX, from what its runs hold so far."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from ...storage import write_whole
from .agreement import agreement_table
from .entries import METHODS, StudyTable
from .formats import as_csv, as_latex, as_markdown
from .frames import Shown, frame_csv, frame_latex, frame_markdown
from .iso_entries import COLUMNS, iso_table, verdict_table
from .layout import TABLE_FOLDER, TABLE_SUFFIXES, TABLES
from .plan import StudyPlan
from .r2_entries import r2_entries, rival_entries
from .score_entries import score_entries

AT_COST = {
    "Model": ("model",),
    "Data": ("dataset",),
    "Cost": ("budget",),
    "Form": ("form",),
    "Method": ("method",),
    "Seeds": ("seeds",),
    "r": ("r",),
    "Sweep ends first": ("at_end",),
    "Preference gained (nats)": ("pref", "pref_low", "pref_high"),
    "sd over seeds": ("pref_sd",),
    "Minus SPLIT's": ("pref_vs_split", "vs_low", "vs_high"),
    "its sd": ("vs_sd",),
}
VERDICTS = {
    "Model": ("model",),
    "Equal": ("cost",),
    "Form": ("form",),
    "Method": ("method",),
    "Ahead": ("ahead",),
    "Behind": ("behind",),
    "Undecided": ("undecided",),
}
AGREEMENT = {
    "Model": ("model",),
    "Data": ("dataset",),
    "Score": ("score",),
    "Judge": ("judge",),
    "Other": ("other",),
    "Answers": ("n",),
    "Unreadable": ("unreadable",),
    "Spearman": ("spearman",),
    "Mean difference": ("difference",),
}
COSTS = {
    "utility": "Gains at equal utility: the cost is utility lost on the test pairs (nats); 95 % intervals over pairs",
    "kl": "Gains at equal KL: the cost is KL on neutral prompts (nats per token); 95 % intervals over pairs",
}


def write_tables(folder: Path, plan: StudyPlan) -> tuple[Path, ...]:
    """Write every table that the runs of a study have numbers for, and remove those that they have none for.

    Args:
        folder: the study's.
        plan: its plan.

    Returns:
        The Markdown files.
    """
    texts = dict(_tables(folder, plan))
    for name in TABLES:
        for suffix in TABLE_SUFFIXES:
            stale = (folder / TABLE_FOLDER / name).with_suffix(suffix)
            if stale not in texts:  # of cells or data that the plan no longer has
                stale.unlink(missing_ok=True)
    for path, text in texts.items():
        _write(path, text)
    return tuple(path for path in texts if path.suffix == ".md")


def _tables(folder: Path, plan: StudyPlan) -> Iterator[tuple[Path, str]]:
    found: Sequence[StudyTable] = (
        *(r2_entries(folder, plan, number) for number in (2, 5, 6)),
        score_entries(folder, plan),
        rival_entries(folder, plan),
    )
    for table in found:
        if table.rows:
            place = folder / TABLE_FOLDER / table.name
            yield place.with_suffix(".csv"), as_csv(table)
            yield place.with_suffix(".md"), as_markdown(table)
            yield place.with_suffix(".tex"), as_latex(table)
    frames = {cost: iso_table(folder, plan, cost) for cost in COSTS}
    for cost, title in COSTS.items():
        frame = frames[cost]
        scores = {str(name).title(): (str(name),) for name in frame.columns[len(COLUMNS) :]}
        yield from _frame(folder, f"iso-{cost}", frame, title, {**AT_COST, **scores})
    title = "Against SPLIT of the same form at equal cost: datasets and budgets with more, less or as much preference"
    yield from _frame(folder, "verdicts", verdict_table(list(frames.values())), title, VERDICTS)
    title = "Agreement between judges on the same answers"
    yield from _frame(folder, "agreement", agreement_table(folder, plan), title, AGREEMENT)


def _frame(folder: Path, name: str, frame: pd.DataFrame, title: str, shown: Shown) -> Iterator[tuple[Path, str]]:
    if frame.empty:
        return
    place = folder / TABLE_FOLDER / name
    yield place.with_suffix(".csv"), frame_csv(frame)
    if "method" in frame.columns:
        frame = frame.assign(method=[METHODS.get(method, method) for method in frame["method"]])
    yield place.with_suffix(".md"), frame_markdown(frame, title, shown)
    yield place.with_suffix(".tex"), frame_latex(frame, shown)


def _write(path: Path, text: str) -> None:
    def fill(to: Path) -> None:
        to.write_text(text, "utf-8")

    write_whole(path, fill)
