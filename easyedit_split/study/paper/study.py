"""Run a study: keep its plan, make what is missing, and write its tables and figures.

    plan.json -> runs, one item after the other -> tables/, figures/

A folder that holds a study goes on with it. Models, datasets, cells and seeds may be added to a plan or taken from it;
all other settings must be the same, since what is made depends on them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from ...files.journal import differing
from ...files.reading import listed
from ...model.load_options import LoadOptions
from ...storage import clear_all_leftovers
from ...types import ConfigError
from ..teller import Teller
from .beforehand import check_beforehand
from .bench import Bench, Opened, write_json
from .estimate import TYPICAL, work_of
from .figures import write_figures
from .launchers.base import Launch, require_workers
from .launchers.local import OnThisMachine
from .layout import FIGURE_FOLDER, PLAN, TABLE_FOLDER
from .plan import Run, StudyPlan, runs_of
from .readers import read_plan
from .work import items_of, missing, tidy
from .workers import Opener
from .write_tables import write_tables

PERCENT = 100
MAY_CHANGE = ("models", "datasets", "cells", "seeds")


def run_study(
    folder: Path,
    plan: StudyPlan,
    loading: LoadOptions,
    tell: Teller,
    *,
    workers: int | None = None,
    launch: Launch | None = None,
) -> None:
    """Make everything of a plan that a folder does not hold yet, and write tables and figures.

    Args:
        folder: the study's.
        plan: what to make.
        loading: how models are loaded.
        tell: hears how far it is.
        workers: how many processes at most; one a device where None.
        launch: starts the processes; those of this machine where None.

    Raises:
        ConfigError: the folder holds a study of other settings.
    """
    make_study(folder, plan, loading, tell, workers=workers, launch=launch)
    tell.say("writing tables and figures")
    write_tables(folder, plan)
    write_figures(folder, plan)


def make_study(
    folder: Path,
    plan: StudyPlan,
    loading: LoadOptions,
    tell: Teller,
    *,
    workers: int | None = None,
    launch: Launch | None = None,
) -> None:
    """Make every run of a plan that a folder does not hold yet.

    Args:
        folder: the study's.
        plan: what to make.
        loading: how models are loaded.
        tell: hears how far it is.
        workers: how many processes at most; one a device where None.
        launch: starts the processes; those of this machine where None.

    Raises:
        ConfigError: the folder holds a study of other settings, or one is impossible.
        DataError: the pairs are not what judges or cells need.
    """
    require_workers(workers)
    benches = list(benches_of(folder, plan))
    check_beforehand(benches)
    keep_plan(folder, plan)
    runs = list(runs_of(folder, plan))
    for place in {folder, folder / TABLE_FOLDER, folder / FIGURE_FOLDER, *(run.paths.group for run in runs)}:
        clear_all_leftovers(place)
    for run in runs:
        tidy(run)
    weights = weights_of(benches)
    left = {(run.name, item.name) for run in runs for item in missing(run)}
    if len(left) < len(weights):
        tell.say(f"{len(weights) - len(left)} of {len(weights)} items are there already")
    if not left:
        return
    total, done = sum(weights.values()), sum(weights[key] for key in weights.keys() - left)
    with tell.bar("study") as advance:

        def report(run: str, item: str) -> None:
            nonlocal done
            done += weights[run, item]
            advance(round(PERCENT * done / total), PERCENT, f"% of the work; {run}: {item}")

        (launch or OnThisMachine().launch)(folder, plan, loading, workers, report)


def weights_of(benches: Iterable[tuple[Bench, list[Run]]]) -> dict[tuple[str, str], float]:
    """How much each item of a study weighs, by names of run and item, in seconds of a small model.

    Args:
        benches: of the study, with their runs.
    """
    return {
        (run.name, item.name): TYPICAL.seconds(work_of(bench, run, item))
        for bench, runs in benches
        for run in runs
        for item in items_of(run)
    }


def benches_of(
    folder: Path, plan: StudyPlan, open_model: Callable[[str], Opened] | None = None
) -> Iterator[tuple[Bench, list[Run]]]:
    """The bench of each model and dataset of a plan, with its runs; no model is loaded.

    Args:
        folder: the study's.
        plan: its plan.
        open_model: loads models, where they are asked for.
    """
    runs = list(runs_of(folder, plan))
    for model in plan.models:
        for data in plan.datasets_of(model):
            members = [run for run in runs if (run.model, run.dataset) == (model, data.label)]
            yield Bench(members[0].paths.group, plan, model, data, open_model or Opener(LoadOptions())), members


def keep_plan(folder: Path, plan: StudyPlan) -> None:
    """Write a plan into its folder, unless a study of other settings is there.

    Args:
        folder: the study's.
        plan: what to keep.

    Raises:
        ConfigError: it is, or something else is.
    """
    check_plan(folder, plan)
    path = folder / PLAN
    if not path.is_file() or read_plan(folder) != plan:
        write_json(path, asdict(plan))


def check_plan(folder: Path, plan: StudyPlan) -> None:
    """Raise for a folder that holds a study of other settings, or something else.

    Args:
        folder: the study's.
        plan: what it is to hold.

    Raises:
        ConfigError: it does.
    """
    path = folder / PLAN
    if path.is_file():
        known = read_plan(folder)
        others = differing(_fixed(known), _fixed(plan))
        same = {data.label: data for data in known.datasets}
        others += tuple(f"dataset {data.label}" for data in plan.datasets if same.get(data.label, data) != data)
        named = {cell.name: cell for cell in known.cells}
        others += tuple(f"cell {cell.name}" for cell in plan.cells if named.get(cell.name, cell) != cell)
        if any(name.startswith("versions") for name in others):
            raise ConfigError(
                f"{folder} holds a study that other versions began ({listed(others)}; now {_versions(plan)}, then "
                f"{_versions(known)}): go on with those, or choose another --out"
            )
        if others:
            raise ConfigError(
                f"{folder} holds a study of other settings ({listed(others)}): repeat its command, or choose another "
                "--out"
            )
    elif folder.exists() and (not folder.is_dir() or any(p.name[0] != "." for p in folder.iterdir())):
        raise ConfigError(f"{folder} holds something that is not a study: choose another --out")


def _versions(plan: StudyPlan) -> str:
    return ", ".join(f"{name} {version}" for name, version in plan.versions.items())


def _fixed(plan: StudyPlan) -> dict[str, object]:
    """The settings that a study keeps, as JSON has them."""
    found: dict[str, object] = json.loads(json.dumps(asdict(plan)))
    return {key: value for key, value in found.items() if key not in MAY_CHANGE}
