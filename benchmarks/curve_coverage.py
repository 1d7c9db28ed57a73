"""Coverage of the 95 % confidence intervals of fits, on simulated curves with known parameters.

Planted tables (coverage): 32 pairs, D from the same prior, narrowed to curves whose quantities exist inside the sweep:
p in [0.3, 4], |m+| and |m-| in [0.1, 5], and D = 1/2 between 4 and 18 on both sides. Each pair has its own
alpha, beta and b around the planted ones (relative s.d. 0.3, 0.3; b: 10 % of the curve's range), a smooth error of its
own (four cosines over the sweep, 4 % of the range each) and independent errors of 2 % of the range.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from curve_prior import FINE, TABLES, M, plant

from easyedit_split.analysis.choose_m.budget import Budget
from easyedit_split.analysis.choose_m.from_curves import Rule, choose
from easyedit_split.analysis.choose_m.recommend import recommend
from easyedit_split.analysis.choose_m.result import Aim
from easyedit_split.analysis.choose_m.scored_pairs import heights, log_sigma
from easyedit_split.analysis.fit.curves import CurveParams, preference_curve, side_slopes, utility_curve, validity
from easyedit_split.analysis.fit.fit_curve import curve_at, fit_curve
from easyedit_split.analysis.fit.sweep_fit import SweepFit
from easyedit_split.analysis.regions import breakdown
from easyedit_split.analysis.uncertainty.ensemble import Ensemble
from easyedit_split.analysis.uncertainty.methods import spread_of
from easyedit_split.analysis.uncertainty.spread import Method, Spread
from easyedit_split.log_odds import PairOdds
from easyedit_split.sweep_curves import KINDS, CurveKey, Kind, SweepCurve
from easyedit_split.types import FloatArray

AIMS: tuple[Aim, ...] = ("capped", "answer", "preference")


@dataclass(frozen=True)
class Covered:
    """Whether each confidence interval contained the true value; for curves the share of grid points."""

    method: str
    values: dict[str, float]
    refused: dict[Aim, bool]  # no usable m


N_PAIRS = 32
POPULATION = 1500  # pairs that stand for all
COARSE = np.linspace(-20.0, 20.0, 801)
NODES, SHARES = (3**0.5 * np.array([-1.0, 0.0, 1.0]), np.array([1.0, 4.0, 1.0]) / 6)  # of a normal error


def planted_pairs(
    rng: np.random.Generator, params: CurveParams, kind: Kind, m: FloatArray, n: int
) -> tuple[FloatArray, float]:
    """Simulated log-odds ``[n, m]`` whose population mean is exactly the given curve, and the s.d. of the points' own
    errors.
    """
    span = float(np.ptp(curve_at(kind, M, params)))
    D = validity(m, params)
    own = rng.normal(size=(3, n, 1))
    mean = (params.alpha * (1 + 0.3 * own[0]) * m + params.beta * (1 + 0.3 * own[1])) * D + params.b
    phase = np.pi * (m + 20.0) / 40.0
    smooth = sum(rng.normal(size=(n, 1)) * np.cos(k * phase) for k in range(1, 5))
    return np.asarray(mean + span * (0.1 * own[2] + 0.04 * smooth), dtype=np.float64), 0.02 * span


def planted_table(rng: np.random.Generator, params: CurveParams, kind: Kind) -> FloatArray:
    """Simulated log-odds ``[32 pairs, 41]``."""
    values, error = planted_pairs(rng, params, kind, M, N_PAIRS)
    return values + error * rng.normal(size=values.shape)


def true_choices(pref: CurveParams, util: CurveParams, seed: int) -> dict[Aim, float]:
    """The m that ``recommend`` would choose from the noiseless population curves."""
    rng = np.random.default_rng([8, seed])
    choice_part, either = np.zeros(len(COARSE)), np.zeros(len(COARSE))
    for params, kind in ((pref, "preference"), (util, "utility")):
        values, error = planted_pairs(rng, params, kind, COARSE, POPULATION)  # type: ignore[arg-type]
        part = choice_part if kind == "preference" else either
        for node, share in zip(NODES, SHARES, strict=True):
            part += share * log_sigma(values + error * node).mean(axis=0)
    capped = choice_part + either - either[heights(either, len(COARSE) // 2)]
    on_curves = Rule("preference", Budget())
    most = choose(FINE, preference_curve(FINE, pref)[None], utility_curve(FINE, util)[None], on_curves)
    likeliest, spared = (float(COARSE[score.argmax()]) for score in (choice_part + either, capped))
    return {"capped": spared, "answer": likeliest, "preference": float(most[0])}


def cover(seed: int, methods: tuple[Method, ...], replicates: int) -> list[Covered]:
    rng = np.random.default_rng([7, seed])
    truth = {kind: plant(rng, kind, TABLES) for kind in KINDS}
    concepts = np.zeros(N_PAIRS, dtype=np.int64)
    tables = {kind: PairOdds(M, planted_table(rng, truth[kind], kind), concepts, True) for kind in KINDS}
    curve = SweepCurve(CurveKey(), tables["preference"], tables["utility"], np.arange(N_PAIRS), ())
    fits = {kind: fit_curve(M, tables[kind].mean, kind, on_failure="return") for kind in KINDS}
    item, chosen = SweepFit(curve, fits["preference"], fits["utility"], ()), true_choices(*truth.values(), seed)
    out = []
    for method in methods:
        varied = spread_of(curve, fits["preference"], fits["utility"], method=method, replicates=replicates, seed=seed)
        out.append(_check(method, truth, item, chosen, varied))
    return out


def _check(
    method: Method, truth: dict[Kind, CurveParams], item: SweepFit, chosen: dict[Aim, float], varied: Spread
) -> Covered:
    values: dict[str, float] = {}
    ensembles: dict[Kind, Ensemble | None] = {"preference": varied.preference, "utility": varied.utility}
    for kind, versions in ensembles.items():
        assert versions is not None
        fit, params = item.fit(kind), truth[kind]
        assert fit is not None
        low, high = varied.interval(versions.values(M), fit(M))
        inside = (low <= curve_at(kind, M, params)) & (curve_at(kind, M, params) <= high)
        values[f"{kind} curve"] = float(inside.mean())
        low, high = varied.interval(versions.slopes(), np.array(side_slopes(fit.params)))
        inside = (low <= np.array(side_slopes(params))) & (np.array(side_slopes(params)) <= high)
        values[f"{kind} slope at 0"] = float(inside.mean())
        estimate = np.array([v if v is not None else np.nan for v in breakdown(fit.params)])
        real = np.array([v if v is not None else np.nan for v in breakdown(params)])
        low, high = varied.interval(versions.breakdowns(), estimate)
        values[f"{kind} breakdown m"] = float(((low <= real) & (real <= high)).mean())
    refused = {}
    for aim in AIMS:
        answer = recommend(item, aim=aim, spread=varied)
        refused[aim] = answer.m is None
        if answer.m_interval is not None and answer.method in (method, "pairs"):
            ends = answer.m_interval
            values[f"m of aim {aim}"] = float(ends.low - 0.01 <= chosen[aim] <= ends.high + 0.01)
    return Covered(method, values, refused)


def coverage(n: int, methods: tuple[Method, ...], replicates: int, pool: ProcessPoolExecutor) -> list[Covered]:
    tasks = partial(cover, methods=methods, replicates=replicates)
    return [row for rows in pool.map(tasks, range(n), chunksize=5) for row in rows]


def print_coverage(rows: list[Covered]) -> None:
    methods = list(dict.fromkeys(row.method for row in rows))
    print("coverage of 95 % confidence intervals (simulated tables of 32 pairs)")
    print(f"{'':<24}" + "".join(f"{method:>12}" for method in methods))
    names = list(dict.fromkeys(name for row in rows for name in row.values))
    for name in names:
        known = [
            [row.values[name] for row in rows if row.method == method and name in row.values] for method in methods
        ]
        cells = [f"{np.mean(values):.1%}" if values else "" for values in known]
        print(f"{name:<24}" + "".join(f"{cell:>12}" for cell in cells))
    counts = [sum(row.method == method for row in rows) for method in methods]
    print(f"{'tables':<24}" + "".join(f"{count:>12}" for count in counts))
    for aim in AIMS:
        refused = [sum(row.refused[aim] for row in rows if row.method == method) for method in methods]
        print(f"{f'none usable, {aim}':<24}" + "".join(f"{count:>12}" for count in refused))
