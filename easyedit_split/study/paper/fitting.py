"""Items ``fit`` and ``rivals``: R2 of the paper's curves on train, on test, and of the train curve on the test points;
and of other curves on train.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from ...analysis import CurveFit, FitError, SweepFit, compare_models, fit_sweep, transfer_r2
from ...sweep_curves import KINDS, curves_of
from ...sweep_table import read_sweep
from ...types import DataError
from .bench import write_json
from .layout import RunPaths, SweepSplit
from .plan import Run
from .records import FitRecord, RivalRecord, plain_rows


def fit_run(run: Run) -> None:
    """Fit both curves of a run's train and test sweeps, and write how well they do.

    Args:
        run: whose sweeps are made.
    """
    train, test = (fitted(run.paths, split) for split in ("train", "test"))
    records = [*_direct(train, "train"), *_direct(test, "test"), *_transferred(train, test)]
    write_json(run.paths.fits, plain_rows(records))


def compare_run(run: Run) -> None:
    """Fit the paper's curves and their rivals to a run's train sweep, and write how well each does.

    Args:
        run: whose train sweep is made.
    """
    curve, records = fitted(run.paths, "train").curve, list[RivalRecord]()
    for kind in KINDS:
        try:
            table = curve.table(kind)
            scores = compare_models(table.m, table.mean, kind, folds=None)
        except (DataError, FitError):
            continue  # why there is none stands among the fits
        records += [RivalRecord(kind, score.name, _number(score.r2), _number(score.bic)) for score in scores]
    write_json(run.paths.rivals, plain_rows(records))


def fitted(paths: RunPaths, split: SweepSplit) -> SweepFit:
    """Both fitted curves of one sweep of a run; None in the place of one that cannot be fitted.

    Args:
        paths: of the run.
        split: which sweep.
    """
    path = paths.sweep(split)
    return fit_sweep(curves_of(read_sweep(path), str(path)), keep_going=True)[0]


def _direct(item: SweepFit, split: str) -> Iterator[FitRecord]:
    for kind in KINDS:
        fit, problem = item.fit(kind), item.problem(kind) or ""
        if fit is None:
            yield FitRecord(kind, split, split, None, len(item.curve.preference.m), problem=problem)
        else:
            yield FitRecord(kind, split, split, _number(fit.r2), len(item.curve.preference.m), _params(fit))


def _transferred(train: SweepFit, test: SweepFit) -> Iterator[FitRecord]:
    for kind in KINDS:
        fit, points = train.fit(kind), len(test.curve.preference.m)
        usable = fit is not None and (kind == "preference" or test.curve.utility is not None)
        r2 = _number(transfer_r2(fit, test.curve)) if fit is not None and usable else None
        problem = "" if r2 is not None else train.problem(kind) or "not to be transferred"
        yield FitRecord(kind, "train", "test", r2, points, problem=problem)


def _params(fit: CurveFit) -> dict[str, Any]:
    return {name: _number(value) for name, value in asdict(fit.params).items()}


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
