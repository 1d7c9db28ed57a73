"""Fit every curve of a sweep and tabulate the fits, as a data frame or as JSON.

``transfer_r2`` puts one sweep's parameters on another's points (Table 6): R2 = 1 - SSE / SST, negative values stay
negative.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from ...log_odds import PairOdds
from ...sweep_curves import KINDS, Kind, SweepCurve, SweepLike, as_curves
from ...types import ConfigError, DataError
from ..lack_of_fit import lack_of_fit
from ..regions import SideRegions, regions_of
from ..smooth import smooth_curve
from ..uncertainty.region_intervals import region_intervals
from ..uncertainty.spread import Spread
from .fit_curve import CurveFit, Solver, fit_curve, r_squared
from .problem import FitError
from .weights import spacing_weights


@dataclass(frozen=True)
class SweepFit:
    """Preference and utility fits of one curve of a sweep.

    Attributes:
        curve: the data.
        preference: fit of Eq. 15; None where it failed.
        utility: fit of Eq. 17; None where it failed.
        problems: one sentence for each fit that failed.
    """

    curve: SweepCurve
    preference: CurveFit | None
    utility: CurveFit | None
    problems: tuple[str, ...]

    def fit(self, kind: Kind) -> CurveFit | None:
        """The preference or the utility fit, by kind.

        Args:
            kind: ``preference`` or ``utility``.
        """
        return self.preference if kind == "preference" else self.utility

    def problem(self, kind: Kind) -> str | None:
        """Error message of the failed fit of one kind; None where it succeeded or was not tried.

        Args:
            kind: ``preference`` or ``utility``.
        """
        unfitted = [name for name in KINDS if self.fit(name) is None]
        return dict(zip(unfitted, self.problems, strict=False)).get(kind)


def fit_sweep(curves: SweepLike, *, solver: Solver = "least_squares", keep_going: bool = False) -> list[SweepFit]:
    """Fit preference and utility of every curve of a sweep.

    Args:
        curves: a sweep table, the path of one, or curves from ``curves_of``.
        solver: as in ``fit_curve``.
        keep_going: note a curve that cannot be fitted in ``problems`` and go on, instead of raising.

    Raises:
        DataError, FitError: naming the curve, unless ``keep_going``.
    """
    out = []
    for curve in as_curves(curves):
        fits: dict[Kind, CurveFit | None] = {}
        problems = []
        for kind in KINDS:
            try:
                table = curve.table(kind)
                fits[kind] = fit_curve(table.m, table.mean, kind, solver=solver)
            except (DataError, FitError) as error:
                sentence = str(error) if str(error).startswith(curve.name) else f"{curve.name}: {error}"
                if not keep_going:
                    raise type(error)(sentence) from error
                fits[kind] = None
                problems.append(sentence)
        out.append(SweepFit(curve, fits["preference"], fits["utility"], tuple(problems)))
    return out


def transfer_r2(source: CurveFit, target: SweepCurve) -> float:
    """R2 of one fit's parameters on another curve's points (Table 6); NaN where the source did not sweep a sign of m.

    Args:
        source: the fit.
        target: another sweep.
    """
    table = target.table(source.kind)
    return r_squared(table.mean, source(table.m), spacing_weights(table.m))


def fit_table(fits: Sequence[SweepFit]) -> pd.DataFrame:
    """Table with one row per fitted curve: key, kind, counts, quality, parameters, slopes and region borders.

    Args:
        fits: fitted sweeps.
    """
    fitted = [(item, kind, fit) for item in fits for kind in KINDS for fit in [item.fit(kind)] if fit is not None]
    return pd.DataFrame([_flat(_fitted(*row, None)) for row in fitted])


def fits_json(fits: Sequence[SweepFit], spreads: Sequence[Spread | None] | None = None) -> str:
    """``fit_records`` as JSON text; undefined numbers are null.

    Args:
        fits: fitted sweeps.
        spreads: how each varies, for confidence intervals.
    """
    return json.dumps(_without_nan(fit_records(fits, spreads)), indent=2, ensure_ascii=False)


def fit_records(fits: Sequence[SweepFit], spreads: Sequence[Spread | None] | None = None) -> list[dict[str, Any]]:
    """One nested record of plain types per curve and kind (what ``fit --out fit.json`` writes).

    A curve that could not be fitted has ``ok`` false and the reason in ``message``. The pairs that utility leaves out
    are listed once per curve, in its utility record.

    Args:
        fits: from ``fit_sweep``.
        spreads: from ``spread_of``, one for each of ``fits`` or None: adds intervals of slopes, breakdown and borders.

    Raises:
        ConfigError: as many spreads as fits were not given.
    """
    spreads = [None] * len(fits) if spreads is None else spreads
    if len(spreads) != len(fits):
        raise ConfigError(f"{len(fits)} fits come with {len(spreads)} spreads; give one (or None) for each.")
    return [_record(item, kind, varied) for item, varied in zip(fits, spreads, strict=True) for kind in KINDS]


def _record(item: SweepFit, kind: Kind, varied: Spread | None) -> dict[str, Any]:
    fit = item.fit(kind)
    if fit is None:
        reason = item.problem(kind) or f"{item.curve.name}: no fit was made"
        record: dict[str, Any] = {**asdict(item.curve.key), "kind": kind, "ok": False, "message": reason}
    else:
        record = _fitted(item, kind, fit, varied)
    return record | ({"excluded": list(item.curve.excluded)} if kind == "utility" else {})


def _fitted(item: SweepFit, kind: Kind, fit: CurveFit, varied: Spread | None) -> dict[str, Any]:
    table, found = item.curve.table(kind), regions_of(fit)
    record = {
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
        **_checked(fit, table),
    }
    given = varied is not None and (varied.preference if kind == "preference" else varied.utility) is not None
    return record | ({"intervals": asdict(region_intervals(fit, varied))} if varied is not None and given else {})


def _checked(fit: CurveFit, table: PairOdds) -> dict[str, Any]:
    """Lack-of-fit tests of a fit, and slope and linear region of the smoothing spline."""
    misfit, smooth = lack_of_fit(fit, table), smooth_curve(table)
    misses = None if misfit is None else {part.where: asdict(part) for part in (misfit.sweep, misfit.zero)}
    if smooth is None:
        return {"misses": misses, "smooth": None}
    ends = None if smooth.slope_interval is None else asdict(smooth.slope_interval)
    left, right = smooth.linear_ends
    record = {"slope": smooth.slope, "slope_interval": ends, "linear_from": left, "linear_to": right}
    return {"misses": misses, "smooth": record}


def _side(side: SideRegions | None) -> dict[str, Any] | None:
    return None if side is None else asdict(side)


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """Flatten a record: nested parts become ``params`` columns and ``plus_...``, ``minus_...`` columns; lists become
    text.
    """
    row: dict[str, Any] = {}
    for name, value in record.items():
        if name == "params":
            row.update(value)
        elif name in ("plus", "minus", "smooth"):
            row.update({f"{name}_{key}": inner for key, inner in (value or {}).items() if not isinstance(inner, dict)})
        elif name == "misses":
            row.update({f"misses_{part['where']}": part["nats"] for part in (value or {}).values()})
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
