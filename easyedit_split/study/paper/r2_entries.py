"""Tables 2, 5 and 6 of a study: R2 of the curves on train, on test, and of the train curves on the test points."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from statistics import fmean

from ...analysis.r2_tables import DATASETS
from ...sweep_curves import KINDS
from .entries import NO_FORM, RowKey, StudyTable, TableEntry, ordered, published, row_key
from .plan import StudyPlan, runs_of
from .readers import read_failure, read_fits, read_rivals

KINDS_OF_R2 = {
    2: ("train", "train", "R2 of the curves fitted to the training pairs (Table 2)"),
    5: ("test", "test", "R2 of the curves fitted to the test pairs (Table 5)"),
    6: ("train", "test", "R2 on the test pairs of the curves fitted to the training pairs (Table 6)"),
}
"""Table: fitted on, measured on, title."""
AVERAGE = "Avg"


def r2_entries(folder: Path, plan: StudyPlan, number: int) -> StudyTable:
    """One of the tables of R2.

    Args:
        folder: the study's.
        plan: its plan.
        number: 2, 5 or 6.
    """
    fitted_on, split, title = KINDS_OF_R2[number]
    found: dict[tuple[RowKey, str], list[float]] = {}
    notes: list[str] = []
    for run in runs_of(folder, plan):
        if run.paths.failed.is_file():
            notes.append(f"{run.name}: not trained ({read_failure(run.paths).reason})")
        if not run.paths.fits.is_file():
            continue
        for fit in read_fits(run.paths):
            if (fit.fitted_on, fit.split) != (fitted_on, split):
                continue
            key = (row_key(run.model, run.cell), _column(fit.kind, run.dataset))
            if fit.r2 is None:
                notes.append(f"{run.name}: no {fit.kind} fit ({fit.problem})")
            else:
                found.setdefault(key, []).append(fit.r2)
    labels = [data.label for data in plan.datasets]
    rows = ordered((row for row, _ in found), plan.models)
    columns = tuple(_column(kind, label) for kind in KINDS for label in (*labels, AVERAGE))
    entries = {key: TableEntry(tuple(values), published(number, *key)) for key, values in found.items()}
    entries |= _averages(entries, rows, labels, number)
    return StudyTable(f"table{number}", title, columns, rows, entries, notes=tuple(notes))


def rival_entries(folder: Path, plan: StudyPlan) -> StudyTable:
    """R2 of the paper's curve and its rivals on the training pairs, over cells and seeds, and how often each is best.

    Args:
        folder: the study's.
        plan: its plan.
    """
    found: dict[tuple[RowKey, str], list[float]] = {}
    compared: Counter[tuple[str, str]] = Counter()
    for run in runs_of(folder, plan):
        if not run.paths.rivals.is_file():
            continue
        records = read_rivals(run.paths)
        for kind in KINDS:
            mine = [record for record in records if record.kind == kind]
            best = min((record.bic for record in mine if record.bic is not None), default=None)
            column = _column(kind, run.dataset)
            compared[run.model, column] += bool(mine)
            for record in mine:
                row = (run.model, NO_FORM, record.curve)
                if record.r2 is not None:
                    found.setdefault((row, f"{column}, R2"), []).append(record.r2)
                found.setdefault((row, f"{column}, best"), []).append(float(record.bic == best))
    for (model, column), cells in compared.items():
        for (row, name), values in found.items():
            if (row[0], name) == (model, f"{column}, best"):  # a curve that could not be fitted is not the best one
                values += [0.0] * (cells - len(values))
    labels = [data.label for data in plan.datasets]
    columns = [f"{_column(kind, label)}, {what}" for kind in KINDS for label in labels for what in ("R2", "best")]
    rows = sorted(dict.fromkeys(row for row, _ in found), key=lambda row: (plan.models.index(row[0]), row[2]))
    title = "Other curves on the training pairs: R2, and the share of cells in which each is best by BIC (mean ± sd)"
    entries = {key: TableEntry(tuple(values)) for key, values in found.items()}
    return StudyTable("rivals", title, tuple(columns), tuple(rows), entries)


def _averages(
    entries: dict[tuple[RowKey, str], TableEntry], rows: tuple[RowKey, ...], labels: list[str], number: int
) -> dict[tuple[RowKey, str], TableEntry]:
    """Means over the datasets that have a fit; of several seeds seed by seed, where all have as many."""
    found: dict[tuple[RowKey, str], TableEntry] = {}
    for row in rows:
        for kind in KINDS:
            parts = [entries[key].values for label in labels if (key := (row, _column(kind, label))) in entries]
            if parts:
                alike = len(set(map(len, parts))) == 1
                seeds = [tuple(fmean(each) for each in zip(*parts, strict=True))] if alike else []
                values = seeds[0] if seeds else (fmean(fmean(part) for part in parts),)
                column = _column(kind, AVERAGE)
                found[row, column] = TableEntry(values, published(number, row, column))
    return found


def _column(kind: str, label: str) -> str:
    return f"{kind.title()} {DATASETS.get(label, label)}"
