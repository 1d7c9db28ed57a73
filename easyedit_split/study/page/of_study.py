"""What a page shows of the folder of a study, made or half made: see ``study.paper.layout``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from ...sweep_table import read_sweep
from ..paper.layout import SCORE, STRENGTHS, TABLE_FOLDER, TABLES
from ..paper.plan import Run, StudyPlan, runs_of
from ..paper.readers import read_chosen, read_judged, read_plan, read_results, read_texts_over_m
from ..paper.records import TextRow
from .contents import Contents, PageRun, PageTable, Strength, curves_from, written_from
from .tables import tables_of

HEADINGS = {
    "table2": "Table 2: R2 of the fitted curves, train pairs",
    "table3": "Table 3: scores of what is written",
    "table5": "Table 5: R2 of the fitted curves, test pairs",
    "table6": "Table 6: R2 on test pairs of curves fitted on train pairs",
    "rivals": "Other curves beside the paper's",
    "iso-utility": "Gains at equal utility",
    "iso-kl": "Gains at equal KL",
    "verdicts": "Against SPLIT at equal cost",
    "agreement": "Agreement of judges",
}


def study_contents(folder: Path, progress: Callable[[int, int], None] | None = None) -> Contents:
    """Read the folder of a study.

    Args:
        folder: the study's.
        progress: called with (runs read, runs in all).

    Raises:
        DataError, ConfigError: a file of it cannot be read.
    """
    plan = read_plan(folder)
    runs = list(runs_of(folder, plan))
    found = []
    for done, run in enumerate(runs, 1):
        found.append(_run(run))
        if progress is not None:
            progress(done, len(runs))
    missing = sum(run.curves is None and bool(run.problem) for run in found)
    notes = (f"{missing} of {len(runs)} runs have no curves yet, or failed.",) if missing else ()
    title = f"Study of {', '.join(plan.models)}"
    return Contents(title, tuple(found), tuple(_tables(folder)), _settings(plan), notes)


def _run(run: Run) -> PageRun:
    sweep, paths = run.paths.sweep("test"), run.paths
    named = (run.model, run.dataset, run.cell.name, run.seed)
    texts = [(row.concept, row.m, row.prompt, row.text) for row in _texts(run)]
    return PageRun(
        *named,
        curves=curves_from(read_sweep(sweep), str(sweep)) if sweep.is_file() and not run.cell.baseline else None,
        strengths=tuple(Strength(one.name, one.m, one.reason) for one in read_chosen(paths))
        if paths.chosen.is_file()
        else (),
        written=written_from(texts),
        scores=tuple(_scores(read_judged(paths.judged))) if paths.judged.is_file() else (),
        problem="" if sweep.is_file() or run.cell.baseline else _problem(paths.failed),
    )


def _texts(run: Run) -> Iterator[TextRow]:
    """Texts over the swept m, and of the same prompts at the chosen m."""
    if not run.paths.texts.is_file():
        return
    swept = read_texts_over_m(run.paths)
    yield from swept
    asked = {(row.concept, row.prompt) for row in swept}
    for name in STRENGTHS:
        if run.paths.generated(name).is_file():
            for row in read_results(run.paths, name):
                if (row.concept, row.input) in asked and row.pred:
                    yield TextRow(row.m, None, row.concept, row.input, row.pred[0])


def _problem(failed: Path) -> str:
    return f"training ended without a result, see {failed.name}" if failed.is_file() else "not made yet"


def _scores(judged: pd.DataFrame) -> Iterator[tuple[str, str, float, str, float, int]]:
    """Mean of each score by judge and strength."""
    for (judge, strength), rows in judged.groupby(["judge", "strength"], sort=False):
        for name in (column for column in rows.columns if str(column).startswith(SCORE)):
            values = pd.to_numeric(rows[name], errors="coerce").dropna()
            if len(values):
                m = float(rows["m1"].iloc[0])
                mean, n = float(values.mean()), len(values)
                yield str(judge), str(strength), m, str(name).removeprefix(SCORE), mean, n


def _tables(folder: Path) -> Iterator[PageTable]:
    for name in TABLES:
        path = folder / TABLE_FOLDER / f"{name}.md"
        if path.is_file():
            yield from tables_of(path, HEADINGS.get(name, name))


def _settings(plan: StudyPlan) -> tuple[tuple[str, str], ...]:
    """The plan, name by name."""
    plain = asdict(plan)
    versions = plain.pop("versions")
    plain["cells"] = [cell.name for cell in plan.cells]
    datasets = [
        f"{data.label} ({data.name}; judged by {', '.join(data.judges) or 'nothing: no texts'})"
        for data in plan.datasets
    ]
    plain["datasets"] = datasets
    rows = [(name.replace("_", " "), _shown(value)) for name, value in plain.items()]
    return (*rows, *((f"version of {name}", str(value)) for name, value in versions.items()))


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return "all" if value is None else str(value)
