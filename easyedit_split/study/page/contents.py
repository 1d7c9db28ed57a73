"""What a page shows: runs with their curves, strengths and texts, tables, and settings; no HTML yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ...analysis import CurveFit, SweepFit, fit_sweep, regions_of
from ...analysis.regions import SideRegions
from ...sweep_curves import KINDS, curves_of, mean_curve
from ...sweep_table import finite_points
from ...types import DataError, FloatArray

FINE = 160
"""Points of a fitted curve that are drawn."""


@dataclass(frozen=True, slots=True)
class PageSide:
    """Where one side of m = 0 of a fitted curve changes its regime; None where the sweep ends before.

    Attributes:
        linear_end: end of the linear region.
        convergence_start: begin of the convergence region.
        breakdown: where validity is one half.
        end: the last swept m.
    """

    linear_end: float | None
    convergence_start: float | None
    breakdown: float | None
    end: float


@dataclass(frozen=True, slots=True)
class PageFit:
    """A fitted curve of a run.

    Attributes:
        values: its values at the run's fine grid, nats; empty where there is none.
        r2: coefficient of determination; None where there is no fit.
        sides: the swept sides by ``minus`` and ``plus``.
        problem: why there is no fit.
    """

    values: tuple[float, ...] = ()
    r2: float | None = None
    sides: Mapping[str, PageSide] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Curves:
    """Mean log-odds of a run over the swept m, and both fitted curves.

    Attributes:
        m: ``[n]`` swept, sorted.
        preference: ``[n]`` nats.
        utility: ``[n]`` nats; NaN where no pair is left.
        pairs: how many.
        excluded: pairs that utility leaves out.
        r_per_m: r at m = 1; None where it was not measured.
        fine: m of the fitted curves.
        fits: by ``preference`` and ``utility``.
    """

    m: tuple[float, ...]
    preference: tuple[float, ...]
    utility: tuple[float, ...]
    pairs: int
    excluded: int
    r_per_m: float | None
    fine: tuple[float, ...] = ()
    fits: Mapping[str, PageFit] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Strength:
    """A chosen m.

    Attributes:
        name: what chose it: ``recommended``, ``best``, ``published``.
        m: None where there is none.
        reason: one sentence.
    """

    name: str
    m: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """What the model writes to one prompt over m.

    Attributes:
        concept: empty where there is one.
        prompt: the question.
        texts: the answer by m.
    """

    concept: str
    prompt: str
    texts: Mapping[float, str]


@dataclass(frozen=True, slots=True)
class PageRun:
    """One trained cell, or a baseline.

    Attributes:
        model: name.
        dataset: name.
        cell: form and objective, or the baseline's name.
        seed: of training.
        curves: None for a baseline, and for a run that failed or is not made yet.
        strengths: chosen m.
        written: texts over m.
        scores: rows of ``(judge, strength, m, score, mean, n)``.
        problem: why there are no curves; empty where there are, and for a baseline.
    """

    model: str
    dataset: str
    cell: str
    seed: int
    curves: Curves | None = None
    strengths: tuple[Strength, ...] = ()
    written: tuple[Written, ...] = ()
    scores: tuple[tuple[str, str, float, str, float, int], ...] = ()
    problem: str = ""

    @property
    def group(self) -> tuple[str, str]:
        """Model and dataset."""
        return self.model, self.dataset


@dataclass(frozen=True, slots=True)
class PageTable:
    """A table of the page.

    Attributes:
        name: its heading.
        columns: their names.
        rows: cells as they are shown.
        marks: of cells by row and column, ``best`` or ``second``.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marks: Mapping[tuple[int, int], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything that a page shows.

    Attributes:
        title: heading of the page.
        runs: in the order in which they are shown.
        tables: below the charts.
        settings: name and value, in order.
        notes: sentences about what is missing or was left out.
    """

    title: str
    runs: tuple[PageRun, ...]
    tables: tuple[PageTable, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def curves_from(table: pd.DataFrame, source: str) -> Curves:
    """Mean curves of one sweep, and both fits.

    Args:
        table: a sweep of one intervention.
        source: its file, for messages.

    Raises:
        DataError: it is no sweep of one intervention.
    """
    known = finite_points(table, source)
    found = curves_of(known, source)
    if len(found) != 1:
        raise DataError(f"{source}: holds {len(found)} curves, wanted one")
    means = mean_curve(known)
    m = means["m1"].to_numpy(dtype=np.float64)
    fine = np.unique(np.concatenate([np.linspace(m[0], m[-1], FINE), m]))
    return Curves(
        m=tuple(m.tolist()),
        preference=tuple(means["pref"].tolist()),
        utility=tuple(means["util"].tolist()),
        pairs=int(means["pairs"].iloc[0]),
        excluded=int(means["excluded"].iloc[0]),
        r_per_m=found[0].r_per_m,
        fine=tuple(fine.tolist()),
        fits=_fits(fit_sweep(found, keep_going=True)[0], fine) if len(m) > 1 else {},
    )


def _fits(item: SweepFit, fine: FloatArray) -> dict[str, PageFit]:
    return {kind: _fitted(item.fit(kind), item.problem(kind), fine) for kind in KINDS}


def _fitted(fit: CurveFit | None, problem: str | None, fine: FloatArray) -> PageFit:
    if fit is None:
        return PageFit(problem=problem or "no fit was made")
    found = regions_of(fit)
    sides = {name: _side(side) for name, side in (("minus", found.minus), ("plus", found.plus)) if side is not None}
    return PageFit(tuple(fit(fine).tolist()), fit.r2, sides)


def _side(side: SideRegions) -> PageSide:
    return PageSide(side.linear_end, side.convergence_start, side.breakdown if side.breakdown_swept else None, side.end)


def written_from(rows: Sequence[tuple[str, float, str, str]]) -> tuple[Written, ...]:
    """Texts over m by concept and prompt, in order of appearance.

    Args:
        rows: ``(concept, m, prompt, text)``.
    """
    found: dict[tuple[str, str], dict[float, str]] = {}
    for concept, m, prompt, text in rows:
        found.setdefault((concept, prompt), {}).setdefault(m, text)
    return tuple(Written(concept, prompt, texts) for (concept, prompt), texts in found.items())
