"""Read the files of a study as records; no model is needed.

A run whose item is not made yet lacks that file: ask ``Path.is_file`` first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from ...config import build
from ...files.frames import read_frame, require_columns
from ...files.reading import read_bounded, shown
from ...files.tables import decoded, json_value
from ...types import DataError
from .layout import JUDGED_COLUMNS, PLAN, SCORE, RunPaths
from .records import ChosenStrength, Failure, FitRecord, ResultRow, RivalRecord, StudyPlan, TextRow

R = TypeVar("R")


def read_plan(folder: Path) -> StudyPlan:
    """The plan of a study.

    Args:
        folder: the study's.

    Raises:
        DataError: there is none, or it cannot be read.
        ConfigError: an unknown key, or a value of a wrong type.
    """
    return build(StudyPlan, _json(folder / PLAN), str(folder / PLAN))


def read_fits(paths: RunPaths) -> tuple[FitRecord, ...]:
    """R2 of both measures: on train, dev and test, and from train to test.

    Args:
        paths: of the run.

    Raises:
        DataError, ConfigError: the file cannot be read.
    """
    return _records(FitRecord, paths.fits)


def read_rivals(paths: RunPaths) -> tuple[RivalRecord, ...]:
    """The paper's curve and its rivals on the training pairs.

    Args:
        paths: of the run.

    Raises:
        DataError, ConfigError: the file cannot be read.
    """
    return _records(RivalRecord, paths.rivals)


def read_failure(paths: RunPaths) -> Failure:
    """Why a run has no artifact.

    Args:
        paths: of the run.

    Raises:
        DataError, ConfigError: the file cannot be read.
    """
    return build(Failure, _json(paths.failed), str(paths.failed))


def read_chosen(paths: RunPaths) -> tuple[ChosenStrength, ...]:
    """The three chosen m.

    Args:
        paths: of the run.

    Raises:
        DataError, ConfigError: the file cannot be read.
    """
    found = _records(ChosenStrength, paths.chosen)
    if all(choice.m is None for choice in found):
        raise DataError(f"{paths.chosen}: holds no m: delete the file and run the study again")
    return found


def read_results(paths: RunPaths, strength: str) -> tuple[ResultRow, ...]:
    """Answers to the test prompts at one chosen m.

    Args:
        paths: of the run.
        strength: one of ``layout.STRENGTHS``, or ``baseline``.

    Raises:
        DataError, ConfigError: the file cannot be read.
    """
    return _records(ResultRow, paths.generated(strength))


def read_texts_over_m(paths: RunPaths) -> tuple[TextRow, ...]:
    """Answers to a few test prompts at every swept m, by prompt, then by m.

    Args:
        paths: of the run.

    Raises:
        DataError, ConfigError: the file cannot be read.
    """
    return _records(TextRow, paths.texts)


def read_judged(path: Path) -> pd.DataFrame:
    """Judged answers: ``layout.JUDGED_COLUMNS``, then a column for each score; NaN where a judge gave none.

    Args:
        path: ``RunPaths.judged`` or ``judged_dev``.

    Raises:
        DataError: the file cannot be read, lacks a column, or has a score that is no number.
    """
    table = read_frame(path, ())
    scores = [name for name in table.columns if str(name).startswith(SCORE)]
    require_columns(table, path, JUDGED_COLUMNS, ("m1", *scores))
    return table


def _json(path: Path) -> Any:
    if not path.is_file():
        raise DataError(f"{path}: no such file: name the folder of a study that `easyedit-split paper --out` made")
    return json_value(decoded(read_bounded(path, DataError), path), str(path))


def _records(kind: type[R], path: Path) -> tuple[R, ...]:
    """The rows of a file, each as a record."""
    rows = _json(path)
    if not isinstance(rows, list):
        raise DataError(f"{path}: holds {shown(rows)}, wanted a list of rows")
    return tuple(build(kind, row, f"{path}, row {number}") for number, row in enumerate(rows))
