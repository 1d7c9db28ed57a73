"""Preference and utility curves over m (Section 4): fitted, with errors, regions and a recommended m.

    curves = curves_of(read_sweep("sweep.parquet"))
    fits = fit_sweep(curves)
    recommend(fits[0])

Works on any sweep table; imports neither torch nor transformers, and Matplotlib only for `plots`.
"""

from __future__ import annotations

from easyedit_split.analysis.activations import mechanism, read_activations
from easyedit_split.analysis.budget import Budget
from easyedit_split.analysis.closer import closer_points, look_closer, near_range
from easyedit_split.analysis.compare import ModelScore, compare_models
from easyedit_split.analysis.curves import CurveParams, preference, utility, validity
from easyedit_split.analysis.fit import CurveFit, fit_curve
from easyedit_split.analysis.from_curves import from_curves
from easyedit_split.analysis.from_pairs import from_pairs
from easyedit_split.analysis.problem import FitError
from easyedit_split.analysis.recommendation import AIMS, Aim, Direction, Interval, Recommendation
from easyedit_split.analysis.region_intervals import RegionIntervals, region_intervals
from easyedit_split.analysis.regions import Regions, breakdown, regions_of
from easyedit_split.analysis.report import r2_table, to_csv, to_latex, to_markdown, transfer_table
from easyedit_split.analysis.spread import Spread
from easyedit_split.analysis.strength import recommend
from easyedit_split.analysis.sweep_fit import SweepFit, fit_sweep, fit_table, fits_json, transfer_r2
from easyedit_split.analysis.table import CurveKey, PairTable, SweepCurve, curves_of, read_curves, read_sweep
from easyedit_split.analysis.uncertainty import spread_of

__all__ = [
    "AIMS",
    "Aim",
    "Budget",
    "CurveFit",
    "CurveKey",
    "CurveParams",
    "Direction",
    "FitError",
    "Interval",
    "ModelScore",
    "PairTable",
    "Recommendation",
    "RegionIntervals",
    "Regions",
    "Spread",
    "SweepCurve",
    "SweepFit",
    "breakdown",
    "closer_points",
    "compare_models",
    "curves_of",
    "fit_curve",
    "fit_sweep",
    "fit_table",
    "fits_json",
    "from_curves",
    "from_pairs",
    "look_closer",
    "mechanism",
    "near_range",
    "preference",
    "r2_table",
    "read_activations",
    "read_curves",
    "read_sweep",
    "recommend",
    "region_intervals",
    "regions_of",
    "spread_of",
    "to_csv",
    "to_latex",
    "to_markdown",
    "transfer_r2",
    "transfer_table",
    "utility",
    "validity",
]
