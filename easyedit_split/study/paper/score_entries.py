"""Table 3 of a study: judged scores of the answers to the test prompts, at each of the three chosen m.

A score's mean is over pairs, then over concepts; accuracy is in percent. Where a dataset's score is accuracy, the share
of pairs whose positive answer is the likelier one at that m stands beside it, by the log-odds of the test sweep.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from ...judges.accuracy import accuracy_from_preferences
from ...sweep_table import read_sweep
from .entries import RowKey, StudyTable, TableEntry, ordered, published, row_key
from .layout import PUBLISHED, SCORE, STRENGTHS
from .plan import PlannedData, Run, StudyPlan, runs_of
from .readers import read_chosen, read_judged

ACCURACY = "accuracy"
BY_LOG_ODDS = f"{ACCURACY} by log-odds"
SHOWN = {PUBLISHED: "m = 1", "best": "best", "recommended": "recommended"}
"""Columns' words for the three m."""
Found = tuple[str, float]
"""Column and value."""


def score_entries(folder: Path, plan: StudyPlan) -> StudyTable:
    """Table 3.

    Args:
        folder: the study's.
        plan: its plan.
    """
    found: dict[tuple[RowKey, str], list[float]] = {}
    notes: list[str] = []
    for data in plan.datasets:
        for run in runs_of(folder, plan):
            if run.dataset != data.label or not run.paths.judged.is_file():
                continue
            for column, value in run_scores(run, data):
                found.setdefault((row_key(run.model, run.cell), column), []).append(value)
            notes += [*([] if run.cell.baseline else _without_m(run)), *_unread(run, data)]
    entries = {
        (row, column): TableEntry(tuple(values), published(3, row, column.removesuffix(f", {SHOWN[PUBLISHED]}")))
        for (row, column), values in found.items()
    }
    columns = {column for _, column in found}
    names = [column for column in _columns(plan) if column in columns]
    rows = ordered((row for row, _ in found), plan.models)
    title = "Judged scores of the answers to the test prompts, at each chosen m (Table 3)"
    return StudyTable("table3", title, tuple(names), rows, entries, marked=True, notes=tuple(notes))


def run_scores(run: Run, data: PlannedData) -> Iterator[Found]:
    """Mean scores of one run by its first judge, at each m; a baseline's stand at all of them.

    Args:
        run: whose answers are judged.
        data: its dataset.
    """
    table = read_judged(run.paths.judged)
    table = table[table["judge"] == data.judges[0]]
    for strength in STRENGTHS:
        rows = table if run.cell.baseline else table[table["strength"] == strength]
        if rows.empty:
            continue
        for name in data.scores:
            mean = mean_score(rows, name)
            if mean is not None:
                yield f"{data.label} {name}, {SHOWN[strength]}", mean * (100 if name == ACCURACY else 1)
        if ACCURACY in data.scores and mean_score(rows, ACCURACY) is not None:
            share = 100 * accuracy_from_preferences(_preferences(run, float(rows["m1"].iloc[0])))
            yield f"{data.label} {BY_LOG_ODDS}, {SHOWN[strength]}", share


def mean_score(rows: pd.DataFrame, name: str) -> float | None:
    """Mean of a score over pairs, then over concepts; None where no row has it.

    Args:
        rows: of a judged table.
        name: of the score.
    """
    column = f"{SCORE}{name}"
    if column not in rows.columns:
        return None
    known = rows[rows[column].notna()]
    return None if known.empty else float(known.groupby("concept")[column].mean().mean())


def _preferences(run: Run, m: float) -> np.ndarray:
    """Preference ``[pairs]`` of the test pairs at one m, nats; in a straight line between swept m."""
    wide = read_sweep(run.paths.sweep("test")).pivot(index=["concept", "pair"], columns="m1", values="pref")
    points = wide.columns.to_numpy(dtype=np.float64)
    return np.array([np.interp(m, points, row) for row in wide.to_numpy(dtype=np.float64)])


def _without_m(run: Run) -> Iterator[str]:
    for choice in read_chosen(run.paths):
        if choice.m is None:
            yield f"{run.name}: {choice.name}: {choice.reason}"


def _unread(run: Run, data: PlannedData) -> Iterator[str]:
    """How many answers the first judge gave no grade that can be read, by score."""
    table = read_judged(run.paths.judged)
    table = table[table["judge"] == data.judges[0]]
    for name in data.scores:
        column = f"{SCORE}{name}"
        unread = int(table[column].isna().sum()) if column in table.columns else 0
        if 0 < unread < len(table):  # of one that gives no such score, all
            yield f"{run.name}: {unread} of {len(table)} answers have no readable {name} and count nowhere"


def _columns(plan: StudyPlan) -> Iterator[str]:
    """Every column that the table may have, by dataset, then by score, then by m."""
    for data in plan.datasets:
        for name in (*data.scores, BY_LOG_ODDS):
            yield from (f"{data.label} {name}, {shown}" for shown in SHOWN.values())
