"""Tables of a study: rows of model, form and method, columns of numbers, each over the seeds and beside the paper's.

entry = values over seeds -> n, mean, sd;    published: what the paper's table says there, of its own models
marks = best and second of a column within each model and form, as in the paper's Table 3
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean, stdev

from ...analysis.r2_tables import FORMS, OBJECTIVES
from ...training.recipes import model_recipe
from .plan import BASELINES, StudyCell

PUBLISHED_FILE = Path(__file__).with_name("published.csv")
"""Numbers of the paper's Tables 2, 3, 5 and 6."""
PAPER_MODELS = {"gemma-2-9b-it": "Gemma-2-9B-IT", "qwen2.5-7b-it": "Qwen-2.5-7B-IT"}
METHODS = {**OBJECTIVES, "vanilla": "Vanilla", "prompt": "Prompt"}
NO_FORM = "-"

RowKey = tuple[str, str, str]
"""Model, form and method, as shown."""


@dataclass(frozen=True, slots=True)
class TableEntry:
    """One cell of a table.

    Attributes:
        values: one for each seed that has one.
        published: the paper's; None where it has none.
    """

    values: tuple[float, ...]
    published: float | None = None

    @property
    def mean(self) -> float:
        """Mean over seeds; NaN where there is none."""
        return fmean(self.values) if self.values else math.nan

    @property
    def sd(self) -> float:
        """Standard deviation over seeds; NaN of fewer than two."""
        return stdev(self.values) if len(self.values) > 1 else math.nan


@dataclass(frozen=True)
class StudyTable:
    """A table of a study.

    Attributes:
        name: of its files.
        title: what it shows, in one sentence.
        columns: in order.
        rows: in order.
        entries: by row and column; a missing one stays empty.
        decimals: of its numbers.
        marked: best and second are marked, larger being better.
        notes: one sentence each, below the table.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[RowKey, ...]
    entries: Mapping[tuple[RowKey, str], TableEntry]
    decimals: int = 2
    marked: bool = False
    notes: tuple[str, ...] = ()

    def rank(self, row: RowKey, column: str) -> int:
        """1 for the best of a column among the methods of the same model and form, 2 for the second, else 0.

        Args:
            row: one of the rows.
            column: one of the columns.
        """
        entry = self.entries.get((row, column))
        if not self.marked or entry is None or not entry.values or row[1] == NO_FORM:
            return 0
        rivals = {
            round(self.entries[other, column].mean, self.decimals)
            for other in self.rows
            if other[:2] == row[:2] and self.entries.get((other, column), TableEntry(())).values
        }
        place = sorted(rivals, reverse=True).index(round(entry.mean, self.decimals)) + 1
        return place if place <= 2 and len(rivals) > 1 else 0


def row_key(model: str, cell: StudyCell) -> RowKey:
    """The row of a cell, as shown.

    Args:
        model: as the plan has it.
        cell: form and objective, or a baseline.
    """
    form = NO_FORM if cell.baseline else FORMS.get(cell.form, cell.form)
    return model, form, METHODS.get(cell.method, cell.method)


def ordered(rows: Iterable[RowKey], models: Sequence[str]) -> tuple[RowKey, ...]:
    """Rows in the paper's order: by model, baselines first, then by form and method.

    Args:
        rows: in any order, each once or more.
        models: in the plan's order.
    """
    forms, methods = [NO_FORM, *FORMS.values()], [METHODS[name] for name in (*BASELINES, *OBJECTIVES)]

    def rank(row: RowKey) -> tuple[object, ...]:
        return models.index(row[0]), *_placed(forms, row[1]), *_placed(methods, row[2])

    return tuple(sorted(dict.fromkeys(rows), key=rank))


def _placed(order: Sequence[str], name: str) -> tuple[int, str]:
    return (order.index(name) if name in order else len(order), name)


def published(table: int, row: RowKey, column: str) -> float | None:
    """A number of one of the paper's tables; None where it has none.

    Args:
        table: 2, 3, 5 or 6.
        row: model as the plan has it, form and method as shown.
        column: as in the file.
    """
    model = _paper_name(row[0])
    return None if model is None else _published().get((str(table), model, row[1], row[2], column))


@cache
def _paper_name(model: str) -> str | None:
    """What the paper calls a model; None where it is none of its own."""
    return PAPER_MODELS.get(model_recipe(model) or "")


@cache
def _published() -> dict[tuple[str, ...], float]:
    with PUBLISHED_FILE.open(encoding="utf-8", newline="") as file:
        return {tuple(line[:5]): float(line[5]) for line in list(csv.reader(file))[1:]}
