"""Agreement between the judges of a study, where datasets have several: the same answers, scored by two.

    n answers that both scored, Spearman's rank correlation, mean absolute difference        for each score both give

An answer that a judge could not be read on counts in ``unreadable``, never as a zero.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from scipy import stats

from .layout import SCORE
from .plan import PlannedData, StudyPlan, runs_of
from .readers import read_judged

COLUMNS = ("model", "dataset", "score", "judge", "other", "n", "unreadable", "spearman", "difference")
_SAME = ["cell", "seed", "strength", "concept", "pair"]


def agreement_table(folder: Path, plan: StudyPlan) -> pd.DataFrame:
    """A row for each model, dataset, score and two judges; empty where no dataset has two.

    Args:
        folder: the study's.
        plan: its plan.
    """
    rows: list[dict[str, Any]] = []
    for model in plan.models:
        for data in plan.datasets_of(model):
            if len(data.judges) < 2:
                continue
            parts = [
                read_judged(run.paths.judged).assign(cell=run.cell.name, seed=run.seed)
                for run in runs_of(folder, plan)
                if (run.model, run.dataset) == (model, data.label) and run.paths.judged.is_file()
            ]
            if parts:
                rows += [{"model": model, "dataset": data.label, **row} for row in _of(pd.concat(parts), data)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _of(table: pd.DataFrame, data: PlannedData) -> Iterator[dict[str, Any]]:
    for one, other in itertools.combinations(data.judges, 2):
        left, right = (table[table["judge"] == name].set_index(_SAME) for name in (one, other))
        for column in [name for name in table.columns if str(name).startswith(SCORE)]:
            if left[column].notna().any() and right[column].notna().any():
                both = pd.concat([left[column], right[column]], axis=1, keys=["a", "b"], join="inner")
                yield {"score": column.removeprefix(SCORE), "judge": one, "other": other, **_compared(both)}


def _compared(both: pd.DataFrame) -> dict[str, Any]:
    """How two columns of scores of the same answers agree."""
    known = both.dropna()
    varies = len(known) > 2 and known["a"].nunique() > 1 and known["b"].nunique() > 1
    return {
        "n": len(known),
        "unreadable": len(both) - len(known),
        "spearman": float(stats.spearmanr(known["a"], known["b"]).statistic) if varies else float("nan"),
        "difference": float((known["a"] - known["b"]).abs().mean()) if len(known) else float("nan"),
    }
