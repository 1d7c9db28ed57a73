"""Every curve of a sweep fitted, one row a fit: for the screen (data frame) and for programs (JSON).

`transfer_r2` puts one sweep's parameters on another's points (Table 6): R2 = 1 - SSE / SST, negative values stay
negative.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from easyedit_split.analysis.fit import CurveFit, Solver, fit_curve, r_squared
from easyedit_split.analysis.problem import KINDS, FitError, Kind
from easyedit_split.analysis.regions import SideRegions, regions_of
from easyedit_split.analysis.table import SweepCurve
from easyedit_split.types import DataError


@dataclass(frozen=True)
class SweepFit:
    """Both fits of one curve of a sweep.

    Attributes:
        curve: the data; preference, utility: None where that curve could not be fitted; problems: why not.
    """

    curve: SweepCurve
    preference: CurveFit | None
    utility: CurveFit | None
    problems: tuple[str, ...]

    def fit(self, kind: Kind) -> CurveFit | None:
        """The fit of one kind."""
        return self.preference if kind == "preference" else self.utility


def fit_sweep(
    curves: Sequence[SweepCurve], *, solver: Solver = "least_squares", keep_going: bool = False
) -> list[SweepFit]:
    """Fit preference and utility of every curve.

    Args:
        curves: from `curves_of`.
        solver: as in `fit_curve`.
        keep_going: note a curve that cannot be fitted in `problems` and go on, instead of raising.

    Raises:
        DataError, FitError: naming the curve, unless `keep_going`.
    """
    out = []
    for curve in curves:
        fits: dict[Kind, CurveFit | None] = {}
        problems = []
        for kind in KINDS:
            try:
                table = curve.table(kind)
                fits[kind] = fit_curve(table.m, table.mean, kind, solver=solver)
            except (DataError, FitError) as error:
                sentence = str(error) if str(error).startswith(curve.key.label()) else f"{curve.key.label()}: {error}"
                if not keep_going:
                    raise type(error)(sentence) from error
                fits[kind] = None
                problems.append(sentence)
        out.append(SweepFit(curve, fits["preference"], fits["utility"], tuple(problems)))
    return out


def transfer_r2(source: CurveFit, target: SweepCurve) -> float:
    """R2 of one fit's parameters on another curve's points (Table 6); NaN where a side was not swept by the source."""
    table = target.table(source.kind)
    return r_squared(table.mean, source(table.m))


def fit_table(fits: Sequence[SweepFit]) -> pd.DataFrame:
    """One row per fitted curve: key, kind, counts, quality, parameters, slopes and borders."""
    return pd.DataFrame([_flat(record) for record in fit_records(fits)])


def fits_json(fits: Sequence[SweepFit]) -> str:
    """`fit_records` as JSON text; numbers that do not exist are null."""
    return json.dumps(_without_nan(fit_records(fits)), indent=2, ensure_ascii=False)


def fit_records(fits: Sequence[SweepFit]) -> list[dict[str, Any]]:
    """One nested record per fitted curve, plain types only (what `fit --out fit.json` writes)."""
    return [_record(item, kind, fit) for item in fits for kind in KINDS for fit in [item.fit(kind)] if fit is not None]


def _record(item: SweepFit, kind: Kind, fit: CurveFit) -> dict[str, Any]:
    table, found = item.curve.table(kind), regions_of(fit)
    return {
        **asdict(item.curve.key),
        "kind": kind,
        "n_pairs": len(table.values) if table.has_pairs else None,
        "n_excluded": len(item.curve.excluded) if kind == "utility" else 0,
        "n_points": len(fit.m),
        "m_min": fit.swept[0],
        "m_max": fit.swept[1],
        "ok": fit.ok,
        "solver": fit.solver,
        "message": fit.message,
        "r2": fit.r2,
        "rmse": fit.rmse,
        "aic": fit.aic,
        "bic": fit.bic,
        "n_params": fit.n_params,
        "params": asdict(fit.params),
        "unidentified": list(fit.unidentified),
        "trade_offs": [list(group) for group in fit.trade_offs],
        "at_bound": list(fit.at_bound),
        "slope_left": found.slope_left,
        "slope_right": found.slope_right,
        "linear_slope": found.linear_law.slope,
        "linear_r2": found.linear_law.r2_linear,
        "plus": _side(found.plus),
        "minus": _side(found.minus),
    }


def _side(side: SideRegions | None) -> dict[str, Any] | None:
    return None if side is None else asdict(side)


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """Nested parts become `params` columns and `plus_...`, `minus_...` columns; lists become text."""
    row: dict[str, Any] = {}
    for name, value in record.items():
        if name == "params":
            row.update(value)
        elif name in ("plus", "minus"):
            row.update({f"{name}_{key}": inner for key, inner in (value or {}).items()})
        elif isinstance(value, list):
            row[name] = "; ".join(v if isinstance(v, str) else "~".join(v) for v in value)
        else:
            row[name] = value
    return row


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
