"""The work items of a study, in order, and the loop that makes those that are missing.

    trained     train, sweep train, sweep dev, sweep test, fit, rivals, side effects, judge dev, choose, generate,
                judge, texts
    baseline    sweep test, generate, judge

Where nothing judges, those that are there for texts alone are left out; dev pairs choose the m of texts.
An item is done when its file is there; each file appears whole. So a study that was stopped loses at most the item in
hand, and goes on with the first that is missing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ...files.journal import journal_of
from ...steering.artifact import CONFIG_FILE
from ...storage import clear_all_leftovers, recover, writing
from .answering import generate_baseline, generate_run, texts_over_m
from .bench import Bench
from .choosing import choose_run, judge_dev
from .fitting import compare_run, fit_run
from .judging import judge_run
from .layout import BASELINE, SWEEP_SPLITS, SweepSplit
from .plan import Run
from .readers import read_chosen
from .sweeping import measure_side_effects, sweep_baseline, sweep_run
from .training import train_run

Make = Callable[[Bench, Run], None]


@dataclass(frozen=True, slots=True)
class WorkItem:
    """One step of a run.

    Attributes:
        name: in messages and in the log.
        make: makes its file.
        files: any of which says that it is made.
        for_texts: whether it is there for written texts alone.
    """

    name: str
    make: Make
    files: Callable[[Run], tuple[Path, ...]]
    for_texts: bool = False

    def made(self, run: Run) -> bool:
        """Whether a run's file of this item is there.

        Args:
            run: which run.
        """
        return any(path.is_file() for path in self.files(run))


def _fit(bench: Bench, run: Run) -> None:
    fit_run(run)


def _compare(bench: Bench, run: Run) -> None:
    compare_run(run)


def _last_generated(run: Run) -> tuple[Path, ...]:
    """The file that is written last: of the last m that could be chosen."""
    if not run.paths.chosen.is_file():
        return ()
    names = [choice.name for choice in read_chosen(run.paths) if choice.m is not None]
    return (run.paths.generated(names[-1]),)


def _sweep(split: SweepSplit) -> WorkItem:
    def make(bench: Bench, run: Run) -> None:
        sweep_run(bench, run, split)

    return WorkItem(f"sweep {split}", make, lambda run: (run.paths.sweep(split),), for_texts=split == "dev")


TRAINED = (
    WorkItem("train", train_run, lambda run: (run.paths.artifact / CONFIG_FILE,)),
    *map(_sweep, SWEEP_SPLITS),
    WorkItem("fit", _fit, lambda run: (run.paths.fits,)),
    WorkItem("rivals", _compare, lambda run: (run.paths.rivals,)),
    WorkItem("side effects", measure_side_effects, lambda run: (run.paths.collateral,)),
    WorkItem("judge dev", judge_dev, lambda run: (run.paths.judged_dev,), for_texts=True),
    WorkItem("choose", choose_run, lambda run: (run.paths.chosen,), for_texts=True),
    WorkItem("generate", generate_run, _last_generated, for_texts=True),
    WorkItem("judge", judge_run, lambda run: (run.paths.judged,), for_texts=True),
    WorkItem("texts", texts_over_m, lambda run: (run.paths.texts,), for_texts=True),
)
"""Items of a run that trains."""
BASELINES = (
    WorkItem("sweep test", sweep_baseline, lambda run: (run.paths.sweep("test"),)),
    WorkItem("generate", generate_baseline, lambda run: (run.paths.generated(BASELINE),), for_texts=True),
    WorkItem("judge", judge_run, lambda run: (run.paths.judged,), for_texts=True),
)
"""Items of a baseline."""


def items_of(run: Run) -> tuple[WorkItem, ...]:
    """The items of a run, in order.

    Args:
        run: which run.
    """
    every = BASELINES if run.cell.baseline else TRAINED
    return tuple(item for item in every if run.judged or not item.for_texts)


def missing(run: Run) -> tuple[WorkItem, ...]:
    """The items of a run that are not made; none of a run whose training failed.

    Args:
        run: which run.
    """
    if run.paths.failed.is_file():
        return ()
    return tuple(item for item in items_of(run) if not item.made(run))


def make_missing(bench: Bench, runs: list[Run], log: Path) -> Iterator[tuple[Run, WorkItem]]:
    """Make what is missing of the runs of one model and dataset, one item after the other.

    Args:
        bench: of these runs.
        runs: which runs.
        log: to which times are appended.

    Yields:
        Each run and item, when it is made.
    """
    if not any(missing(run) for run in runs):
        return
    bench.claim()
    for run in runs:
        tidy(run)
        for item in items_of(run):
            if run.paths.failed.is_file():
                break
            if item.made(run):
                continue
            started = time.monotonic()
            item.make(bench, run)
            _note(log, run, item, time.monotonic() - started)
            yield run, item


def tidy(run: Run) -> None:
    """Put away what a killed process left of a run: unfinished files, and the journals of finished ones.

    Args:
        run: which run; no other process may be at it.

    Raises:
        StorageError: the file system refuses.
    """
    recover(run.paths.artifact)
    for folder in (run.paths.folder, run.paths.generated(BASELINE).parent):
        clear_all_leftovers(folder)
    for path in (path for item in items_of(run) if item.made(run) for path in item.files(run)):
        with writing(path):
            journal_of(path).unlink(missing_ok=True)


def _note(log: Path, run: Run, item: WorkItem, seconds: float) -> None:
    """Append a line to the log; it is no result, so nothing reads it to make one."""
    facts = {"at": time.strftime("%Y-%m-%dT%H:%M:%S"), "run": run.name, "item": item.name, "seconds": round(seconds, 2)}
    with writing(log), log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(facts) + "\n")


__all__ = ["BASELINES", "TRAINED", "WorkItem", "items_of", "make_missing", "missing", "tidy"]
