"""Figures 2, 4 and 5 of a study: preference and utility of all cells over m, and over r, for each model and dataset.

    figure-m-MODEL-DATASET, figure-r-MODEL-DATASET        .png and .svg; the first seed's test pairs

Over m the paper's axis, on which each form and objective has a scale of its own; over r = |m dh| / |h| all have one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure

from ...analysis import CurveFit, SweepFit, fit_sweep
from ...analysis.figures.plots import Drawn, plot_sweep, save_figure
from ...steering.concept_folders import folder_names
from ...storage import write_whole
from ...sweep_curves import curves_of
from ...sweep_table import read_sweep
from .layout import FIGURE_FOLDER
from .plan import StudyPlan, runs_of

SUFFIXES = (".png", ".svg")
AXIS = "relative change r = |m dh| / |h|"


def write_figures(folder: Path, plan: StudyPlan) -> tuple[Path, ...]:
    """Draw every model and dataset of which test sweeps are made.

    Args:
        folder: the study's.
        plan: its plan.

    Returns:
        The PNG files.
    """
    models, labels = folder_names(plan.models), folder_names([data.label for data in plan.datasets])
    written: list[Path] = []
    for model in plan.models:
        for data in plan.datasets_of(model):
            paths = [
                run.paths.sweep("test")
                for run in runs_of(folder, plan)
                if (run.model, run.dataset, run.seed) == (model, data.label, plan.seeds[0]) and not run.cell.baseline
            ]
            curves = [curve for path in paths if path.is_file() for curve in curves_of(read_sweep(path), str(path))]
            if not curves:
                continue
            ending, title = f"{models[model]}-{labels[data.label]}", f"{model}, {data.label}"
            fits = fit_sweep(curves, keep_going=True)
            in_r = [over_r(fit) for fit in fits if fit.curve.r_per_m]
            written.append(_save(_drawn(fits, title), folder, f"figure-m-{ending}"))
            if in_r:
                written.append(_save(_in_r(_drawn(in_r, title)), folder, f"figure-r-{ending}"))
    return tuple(written)


def over_r(fitted: SweepFit) -> SweepFit:
    """A curve and its fits over r instead of m: the same values, in another unit.

    Args:
        fitted: of a curve whose r at m = 1 is known.
    """
    curve = fitted.curve
    unit = curve.r_per_m or 1.0
    preference = replace(curve.preference, m=curve.preference.m * unit)
    utility = None if curve.utility is None else replace(curve.utility, m=curve.utility.m * unit)
    curve = replace(curve, preference=preference, utility=utility, r_per_m=None)
    return replace(
        fitted, curve=curve, preference=_rescaled(fitted.preference, unit), utility=_rescaled(fitted.utility, unit)
    )


def _rescaled(fit: CurveFit | None, unit: float) -> CurveFit | None:
    if fit is None:
        return None
    of = fit.params
    params = replace(
        of,
        alpha=of.alpha / unit,
        m_plus=of.m_plus * unit,
        m_minus=of.m_minus * unit,
        L_plus=of.L_plus * unit**2,
        L_minus=of.L_minus * unit**2,
    )
    return replace(fit, params=params, m=fit.m * unit)


def _drawn(fits: Sequence[SweepFit], title: str) -> Figure:
    return plot_sweep([Drawn(fit) for fit in fits], title=title, shade=False)


def _in_r(figure: Figure) -> Figure:
    for ax in figure.axes:
        if ax.get_xlabel():
            ax.set_xlabel(AXIS)
    return figure


def _save(figure: Figure, folder: Path, name: str) -> Path:
    def save(to: Path) -> None:
        save_figure(figure, to)

    for suffix in SUFFIXES:
        write_whole(folder / FIGURE_FOLDER / f"{name}{suffix}", save)
    return folder / FIGURE_FOLDER / f"{name}.png"
