"""Analysis of preference and utility curves over m (Section 4): fits, confidence intervals, regions, choice of m.

    curves = curves_of(read_sweep("sweep.parquet"))
    fits = fit_sweep(curves)
    recommend(fits[0])

Works on any sweep table; imports neither torch nor transformers, and Matplotlib only for ``plots``.
"""

from __future__ import annotations

from ..log_odds import PairOdds
from ..sweep_curves import CurveKey, SweepCurve, curves_of, read_curves
from ..sweep_table import read_sweep
from .choose_m.beside import MOST_KL, Collateral, JudgedTexts
from .choose_m.budget import Budget
from .choose_m.evidence import Evidence
from .choose_m.from_curves import from_curves
from .choose_m.from_pairs import from_pairs
from .choose_m.interval import Direction, Interval
from .choose_m.paired_gain import PairedGain
from .choose_m.recommend import default_aim, recommend
from .choose_m.refine import closer_points, look_closer, near_range
from .choose_m.result import AIMS, Aim, Recommendation
from .choose_m.style import Style, style_of
from .compare import ModelScore, compare_models
from .concept_curves import read_concept_curves
from .fit.curves import CurveParams, preference_curve, utility_curve, validity
from .fit.fit_curve import CurveFit, fit_curve
from .fit.problem import FitError
from .fit.sweep_fit import SweepFit, fit_sweep, fit_table, fits_json, transfer_r2
from .lack_of_fit import LackOfFit, Misfit, lack_of_fit
from .mechanism import mechanism, read_activations
from .r2_tables import r2_table, to_csv, to_latex, to_markdown, transfer_table
from .regions import Regions, breakdown, regions_of
from .smooth import SmoothCurve, smooth_curve
from .uncertainty.methods import spread_of
from .uncertainty.region_intervals import RegionIntervals, region_intervals
from .uncertainty.spread import Spread

__all__ = [
    "AIMS",
    "MOST_KL",
    "Aim",
    "Budget",
    "Collateral",
    "CurveFit",
    "CurveKey",
    "CurveParams",
    "Direction",
    "Evidence",
    "FitError",
    "Interval",
    "JudgedTexts",
    "LackOfFit",
    "Misfit",
    "ModelScore",
    "PairOdds",
    "PairedGain",
    "Recommendation",
    "RegionIntervals",
    "Regions",
    "SmoothCurve",
    "Spread",
    "Style",
    "SweepCurve",
    "SweepFit",
    "breakdown",
    "closer_points",
    "compare_models",
    "curves_of",
    "default_aim",
    "fit_curve",
    "fit_sweep",
    "fit_table",
    "fits_json",
    "from_curves",
    "from_pairs",
    "lack_of_fit",
    "look_closer",
    "mechanism",
    "near_range",
    "preference_curve",
    "r2_table",
    "read_activations",
    "read_concept_curves",
    "read_curves",
    "read_sweep",
    "recommend",
    "region_intervals",
    "regions_of",
    "smooth_curve",
    "spread_of",
    "style_of",
    "to_csv",
    "to_latex",
    "to_markdown",
    "transfer_r2",
    "transfer_table",
    "utility_curve",
    "validity",
]
