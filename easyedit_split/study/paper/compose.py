"""Compose a study's plan from what a user says: cells, datasets, sizes; the paper's study where nothing is said.

cells      vanilla, prompt, and every objective that can train a form, for each of the three forms
datasets   of testbed models persona, power and concepts; of others those of the paper whose files are there, everyday
--quick    fewer pairs, m and texts: minutes on the testbed, hours on two cores for a small chat model
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from ...config import build
from ...datasets.base import DATASETS
from ...datasets.named import locate
from ...files.reading import first_double
from ...judges.base import asks, learns
from ...model.digests import versions
from ...registry import nearest
from ...steering.forms.base import FORMS
from ...steering.strength_grid import parse_strengths
from ...strict_yaml import read_yaml
from ...training.objectives.base import OBJECTIVES
from ...training.recipes import hparams_folder
from ...types import ConfigError, DataError
from .default_data import NO_JUDGE, TESTBED, planned_data
from .entries import row_key
from .plan import BASELINES, PROMPT, StudyCell, StudyPlan

TABLE_FORMS = ("local_weight", "lora", "vector")
TABLE_OBJECTIVES = ("diff_mean", "sft", "reps", "split")
TESTBED_DATA = tuple(TESTBED + name for name in ("persona", "power", "concepts"))
PAPER_DATA = ("psychopathy", "powerseeking", "axbench")
QUICK: Mapping[str, Any] = {
    "m": "r:+-0.1:3.2:6",
    "train_pairs": 32,
    "seen": 96,
    "seen_each": 32,
    "sweep_pairs": 24,
    "dev_pairs": 16,
    "prompts": 16,
    "judged_r": (0.24, 0.48, 0.96, 1.92),
    "judged_prompts": 8,
    "calibration": 16,
    "texts": 2,
    "neutral": 8,
}
"""What ``--quick`` replaces."""
QUICK_TESTBED: Mapping[str, Any] = {**QUICK, "epochs": 2, "sweep_pairs": 16}
"""The same where all models are the testbed's: half of their recipes' epochs as well, and two thirds of the pairs."""
SEED = "train.seed"
FULL: Mapping[str, Any] = {"dev_pairs": 32, "calibration": 64}


def study_plan(
    models: Sequence[str],
    datasets: Sequence[str] = (),
    *,
    seeds: int = 1,
    quick: bool = False,
    cells: Sequence[str] = (),
    judges: Sequence[str] = (),
    instructions: Mapping[str, str] | None = None,
    max_new_tokens: int | None = None,
    overrides: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
) -> StudyPlan:
    """The plan of a study.

    Args:
        models: as ``load_model`` takes them.
        datasets: as ``load_dataset`` takes them; see the module where empty.
        seeds: how many, from 0.
        quick: a shorter study.
        cells: ``FORM-OBJECTIVE``, ``vanilla`` or ``prompt``, a YAML file of cells, or the name of one in
            ``hparams/studies``; see the module where empty.
        judges: that replace the datasets' own.
        instructions: sentences of the ``prompt`` baseline, by dataset.
        max_new_tokens: longest answer; each dataset's own where None.
        overrides: further settings of every recipe, ``key=value``.
        settings: that replace those of the plan, by name.

    Raises:
        ConfigError: a cell, setting or grid that is unknown or impossible, or no dataset for a model.
        DataError: no such dataset.
    """
    if seeds < 1:
        raise ConfigError(f"--seeds {seeds}: give at least 1")
    _check_judges(judges)
    names = list(datasets) or _usual_data(models)
    found = tuple(planned_data(name, judges, instructions, max_new_tokens) for name in names)
    _check_instructions(instructions or {}, [(data.name, data.label) for data in found])
    testbed = all(model.startswith(TESTBED) for model in models)
    usual = (QUICK_TESTBED if testbed else QUICK) if quick else FULL
    values = {**usual, **(settings or {})}
    plan = build(
        StudyPlan,
        {
            "models": list(models),
            "datasets": [asdict(data) for data in found],
            "cells": [asdict(cell) for cell in _cells(cells)],
            "seeds": list(range(seeds)),
            "overrides": list(overrides),
            "versions": versions(),
            **values,
        },
        "the study",
    )
    for check in (_check_data, _check_prompt, _check_seeds, _check_rows, _check_url):
        check(plan)
    return plan


def _check_data(plan: StudyPlan) -> None:
    """A grid that cannot be read, or a model or dataset that would be left out, is an error."""
    parse_strengths(plan.m)
    rule = "testbed: models take testbed: datasets, others take others"
    used = {model: plan.datasets_of(model) for model in plan.models}
    for model, datasets in used.items():
        if not datasets:
            raise ConfigError(f"no dataset is for {model}: {rule}")
    for data in plan.datasets:
        if not any(data in datasets for datasets in used.values()):
            raise ConfigError(f"no model is for {data.name}: {rule}")


def _check_judges(judges: Sequence[str]) -> None:
    """An unknown judge is an error before anything is made."""
    if NO_JUDGE in judges and len(judges) > 1:
        raise ConfigError(f"--judge {NO_JUDGE} leaves out all texts: give it alone")
    for judge in judges:
        if judge == NO_JUDGE:
            continue
        try:
            learns(judge)
        except ConfigError as error:
            raise ConfigError(f"{error}; or {NO_JUDGE}, for no texts at all") from None


def _check_prompt(plan: StudyPlan) -> None:
    """A dataset of which no cell could be made is an error."""
    for data in plan.datasets:
        if not data.instruction and all(cell.objective == PROMPT for cell in plan.cells):
            raise ConfigError(
                f"{data.name} has no instruction for the cell {PROMPT}: give one (--instruction {data.label}=SENTENCE)"
            )


def _check_seeds(plan: StudyPlan) -> None:
    """A seed that the study's own would replace is an error."""
    for text in (*plan.overrides, *(text for cell in plan.cells for text in cell.overrides)):
        if text.partition("=")[0].strip() == SEED:
            raise ConfigError(f"{text}: runs are trained with the seeds 0, 1, ...: say how many (--seeds)")


def _check_rows(plan: StudyPlan) -> None:
    """Cells that tables or a file system without capitals could not tell apart are an error."""
    twice = first_double(" x ".join(row_key("", cell)[1:]).casefold() for cell in plan.cells)
    if twice is not None:
        raise ConfigError(f"two cells would be called {twice} in tables: give one of them another label")


def _check_url(plan: StudyPlan) -> None:
    """An address that no judge would ask is an error."""
    judges = [judge for data in plan.datasets for judge in data.judges]
    if plan.judge_url is not None and not any(map(asks, judges)):
        raise ConfigError("--judge-url is for judges that ask a language model: name one, --judge openai:MODEL")


def _check_instructions(given: Mapping[str, str], known: Sequence[tuple[str, str]]) -> None:
    names = {name for both in known for name in both}
    for name in given:
        if name not in names:
            raise ConfigError(f"--instruction {name}=...: no dataset is called so{nearest(name, tuple(names))}")


def _usual_data(models: Sequence[str]) -> list[str]:
    found: list[str] = []
    if any(model.startswith(TESTBED) for model in models):
        found += TESTBED_DATA
    if any(not model.startswith(TESTBED) for model in models):
        found += [*(name for name in PAPER_DATA if _is_here(name)), "everyday"]
    return found


def _is_here(name: str) -> bool:
    try:
        for role in DATASETS[name].files:
            locate(DATASETS[name], role, None)
    except DataError:
        return False
    return True


def _cells(given: Sequence[str]) -> list[StudyCell]:
    if not given:
        return [*map(_named, BASELINES), *_trained()]
    cells: list[StudyCell] = []
    for text in given:
        shipped = hparams_folder() / "studies" / f"{text}.yaml"
        if text.endswith((".yaml", ".yml")) or shipped.is_file():
            cells += read_cells(shipped if shipped.is_file() else Path(text))
        else:
            cells.append(_named(text))
    return sorted(cells, key=lambda cell: not cell.baseline)


def _trained() -> list[StudyCell]:
    return [
        _cell(form, objective)
        for form in TABLE_FORMS
        for objective in TABLE_OBJECTIVES
        if form in (OBJECTIVES[objective].forms or (form,))
        and (FORMS[form].constant or not OBJECTIVES[objective].closed_form)
    ]


def read_cells(path: Path) -> list[StudyCell]:
    """Cells of a YAML file: ``cells``, a list of ``form, objective``, and where wanted ``label`` and ``overrides``.

    Args:
        path: the file.

    Raises:
        ConfigError: unknown keys, forms or objectives.
    """
    content = read_yaml(path)
    listed = content.get("cells")
    if set(content) != {"cells"} or not isinstance(listed, list):
        raise ConfigError(f"{path}: wanted one key, cells, with a list of cells")
    found = []
    for number, item in enumerate(listed):
        if isinstance(item, Mapping) and "seeded" in item:
            raise ConfigError(f"{path}, cells[{number}]: seeded follows from the objective: leave it out")
        cell = build(StudyCell, item, f"{path}, cells[{number}]")
        plain = _cell(cell.form, cell.objective) if cell.form else _named(cell.objective)
        known = {field.name: getattr(cell, field.name) for field in fields(StudyCell)}
        found.append(StudyCell(**{**known, "seeded": plain.seeded}))
    return found


def _named(text: str) -> StudyCell:
    if text in BASELINES:
        return StudyCell("", text, seeded=False)
    form, dash, objective = text.partition("-")
    if not dash:
        raise ConfigError(f"--cells {text}: write FORM-OBJECTIVE, e.g. vector-split, {' or '.join(BASELINES)}")
    return _cell(form, objective)


def _cell(form: str, objective: str) -> StudyCell:
    FORMS[form]
    return StudyCell(form, objective, seeded=not OBJECTIVES[objective].closed_form)
