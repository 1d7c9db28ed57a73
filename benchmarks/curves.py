"""Numbers of `easyedit_split.analysis` on planted curves: recovery, coverage of the intervals, speed.

    python benchmarks/curves.py recovery|coverage|speed|all [--quick] [--jobs 2]

Everything is seeded; --quick is the size the tests run. Prior of planted curves (41 points, m = -20, -19, ..., 20):

    p+, p-      log-uniform in [0.1, 10]
    L+, L-      log-uniform in [1, 10 000]  (scale sqrt(L) from one grid step to five times the sweep)
    |m+|        log-uniform in [0.02, 20], either sign; |m-| follows from D+(0) = D-(0), either sign, same range
    |alpha|     log-uniform in [0.05, 5] nats per unit of m, either sign (utility: 0)
    |beta|      log-uniform in [1, 100] nats, either sign (utility: positive)
    b           uniform in [-50, 50] nats

drawn anew unless the curve varies and is resolved by the grid: on each side D changes by at least 0.02 inside the
sweep, and the distance from the peak of D to D = 1/2 is at least two grid steps.

Planted tables (coverage): 32 pairs, D from the same prior, narrowed to curves whose quantities exist inside the sweep:
p in [0.3, 4], |m+| and |m-| in [0.1, 5], and D = 1/2 between 4 and 18 on both sides. Each pair has its own
alpha, beta and b around the planted ones (relative s.d. 0.3, 0.3; b: 10 % of the curve's range), a smooth error of its
own (four cosines over the sweep, 4 % of the range each) and independent errors of 2 % of the range.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from easyedit_split.analysis.choose_m.budget import Budget
from easyedit_split.analysis.choose_m.from_curves import Rule, choose
from easyedit_split.analysis.choose_m.recommend import recommend
from easyedit_split.analysis.choose_m.recommendation import AIMS, Aim
from easyedit_split.analysis.fit.curves import CurveParams, continuity_gap, preference, side_slopes, utility, validity
from easyedit_split.analysis.fit.decay import from_params, to_params
from easyedit_split.analysis.fit.fit_curve import curve_at, fit_curve, r_squared
from easyedit_split.analysis.fit.problem import curve_problem
from easyedit_split.analysis.fit.sweep_fit import SweepFit
from easyedit_split.analysis.fit.varpro import solve
from easyedit_split.analysis.regions import breakdown
from easyedit_split.analysis.uncertainty.ensemble import Ensemble
from easyedit_split.analysis.uncertainty.methods import spread_of
from easyedit_split.analysis.uncertainty.spread import Method, Spread
from easyedit_split.sweep_curves import KINDS, CurveKey, Kind, PairOdds, SweepCurve
from easyedit_split.types import FloatArray

M = np.linspace(-20.0, 20.0, 41)
FINE = np.linspace(-20.0, 20.0, 4001)
STEP = 1.0


@dataclass(frozen=True)
class Prior:
    """Ranges of the planted shapes."""

    p: tuple[float, float] = (0.1, 10.0)
    L: tuple[float, float] = (1.0, 10_000.0)
    centre: tuple[float, float] = (0.02, 20.0)
    half: tuple[float, float] = (-math.inf, math.inf)


WIDE = Prior()
TABLES = Prior(p=(0.3, 4.0), centre=(0.1, 5.0), half=(4.0, 18.0))


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def plant(rng: np.random.Generator, kind: Kind, prior: Prior = WIDE) -> CurveParams:
    """One curve of the prior."""
    while True:
        p_plus, p_minus = (log_uniform(rng, *prior.p) for _ in range(2))
        L_plus, L_minus = (log_uniform(rng, *prior.L) for _ in range(2))
        c_plus = log_uniform(rng, *prior.centre)
        exponent = p_plus * np.log1p(c_plus**2 / L_plus) / p_minus
        c_minus = float(np.sqrt(L_minus * np.expm1(min(exponent, 500.0))))
        if not prior.centre[0] <= c_minus <= prior.centre[1]:
            continue
        signs = rng.choice([-1.0, 1.0], 4)
        alpha = signs[2] * log_uniform(rng, 0.05, 5.0) if kind == "preference" else 0.0
        beta = log_uniform(rng, 1.0, 100.0) * (signs[3] if kind == "preference" else 1.0)
        b = rng.uniform(-50.0, 50.0)
        params = CurveParams(alpha, beta, b, signs[0] * c_plus, L_plus, p_plus, signs[1] * c_minus, L_minus, p_minus)
        if _varies_and_resolved(params) and _half_inside(params, prior.half):
            return params


def _varies_and_resolved(params: CurveParams) -> bool:
    D = validity(M, params)
    widths = [
        math.sqrt(L * math.expm1(math.log(2) / p))
        for L, p in ((params.L_plus, params.p_plus), (params.L_minus, params.p_minus))
    ]
    return bool(min(np.ptp(D[M >= 0]), np.ptp(D[M <= 0])) >= 0.02 and min(widths) >= 2 * STEP)


def _half_inside(params: CurveParams, half: tuple[float, float]) -> bool:
    if half[0] == -math.inf:
        return True
    left, right = breakdown(params)
    return left is not None and right is not None and all(half[0] <= v <= half[1] for v in (-left, right))


# ---------------------------------------------------------------- recovery


@dataclass(frozen=True)
class Recovery:
    kind: Kind
    noise: float
    unexplained: float  # 1 - R2 against the noiseless curve; infinite for a fit that did not converge
    refitted_truth: float  # the same for a search started at the truth: what the data allow
    worse_than_truth: bool  # final cost above that search's
    gap: float  # |y+(0) - y-(0)|, nats
    slsqp_minus_default: float  # difference in R2 on the points; NaN where not run


def recover(seed: int, with_slsqp: bool, kind: Kind, noise: float) -> Recovery:
    rng = np.random.default_rng([seed, KINDS.index(kind), round(noise * 1000)])
    truth = plant(rng, kind)
    clean = curve_at(kind, M, truth)
    y = clean + noise * np.ptp(clean) * rng.normal(size=len(M))
    fit = fit_curve(M, y, kind, on_failure="return")
    oracle = refit_from(truth, y, kind)
    other = fit_curve(M, y, kind, solver="slsqp", on_failure="return").r2 - fit.r2 if with_slsqp else math.nan
    return Recovery(
        kind,
        noise,
        1 - r_squared(clean, fit(M)) if fit.ok else math.inf,
        1 - r_squared(clean, oracle),
        r_squared(y, fit(M)) < r_squared(y, oracle) - 1e-6,
        continuity_gap(fit.params) * abs(fit.params.beta),
        other,
    )


def refit_from(truth: CurveParams, y: FloatArray, kind: Kind) -> FloatArray:
    """The curve that a single search started at the truth ends on."""
    problem = curve_problem(M, y, kind)
    theta, sigma, _ = from_params(problem.decay, truth, problem.scale)
    found = solve(problem.decay, y[None], theta[None], np.array([sigma]), with_alpha=problem.with_alpha)
    return curve_at(kind, M, to_params(problem.decay, found.theta[0], sigma, found.linear[0], problem.scale))


def recovery(n: int, n_slsqp: int, pool: ProcessPoolExecutor) -> list[Recovery]:
    rows: list[Recovery] = []
    for kind in KINDS:
        for noise in (0.0, 0.01):
            tasks = partial(recover, kind=kind, noise=noise)
            rows += pool.map(tasks, range(n), [k < n_slsqp for k in range(n)], chunksize=10)
    return rows


def print_recovery(rows: list[Recovery]) -> None:
    print("recovery of planted curves: share of curves within the threshold on 1 - R2 against the noiseless curve")
    print(
        f"{'curve':<11}{'noise':>6}{'n':>6}{'threshold':>11}{'default':>9}{'from truth':>12}{'worst 1-R2':>12}", end=""
    )
    print(f"{'cost above truth':>18}{'gap at 0':>10}{'slsqp R2 - ours: min / max / |.|<=1e-3':>41}")
    for kind in KINDS:
        for noise, threshold in ((0.0, 1e-8), (0.01, 1e-3)):
            part = [r for r in rows if r.kind == kind and r.noise == noise]
            errors = np.array([r.unexplained for r in part])
            oracle = np.array([r.refitted_truth for r in part])
            other = np.array([r.slsqp_minus_default for r in part if not math.isnan(r.slsqp_minus_default)])
            print(
                f"{kind:<11}{noise:>6.0%}{len(part):>6}{threshold:>11.0e}{np.mean(errors <= threshold):>9.1%}", end=""
            )
            print(f"{np.mean(oracle <= threshold):>12.1%}{errors.max():>12.1e}", end="")
            print(f"{np.mean([r.worse_than_truth for r in part]):>18.1%}{max(r.gap for r in part):>10.0e}", end="")
            if len(other):
                agree = np.mean(np.abs(other) <= 1e-3)
                print(f"{other.min():>20.1e} / {other.max():.1e} / {agree:.1%} of {len(other)}", end="")
            print()


# ---------------------------------------------------------------- coverage


@dataclass(frozen=True)
class Covered:
    """Whether each interval held the truth; curves give the share of grid points."""

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
    """``[n, m]`` log-odds whose mean over the population is exactly the planted curve, and the s.d. of what is left:
    errors of single points."""
    span = float(np.ptp(curve_at(kind, M, params)))
    D = validity(m, params)
    own = rng.normal(size=(3, n, 1))
    mean = (params.alpha * (1 + 0.3 * own[0]) * m + params.beta * (1 + 0.3 * own[1])) * D + params.b
    phase = np.pi * (m + 20.0) / 40.0
    smooth = sum(rng.normal(size=(n, 1)) * np.cos(k * phase) for k in range(1, 5))
    return np.asarray(mean + span * (0.1 * own[2] + 0.04 * smooth), dtype=np.float64), 0.02 * span


def planted_table(rng: np.random.Generator, params: CurveParams, kind: Kind) -> FloatArray:
    """``[32 pairs, 41]`` log-odds."""
    values, error = planted_pairs(rng, params, kind, M, N_PAIRS)
    return values + error * rng.normal(size=values.shape)


def true_choices(pref: CurveParams, util: CurveParams, seed: int) -> dict[Aim, float]:
    """What `recommend` would answer if it knew all pairs."""
    rng = np.random.default_rng([8, seed])
    score = np.zeros(len(COARSE))
    for params, kind in ((pref, "preference"), (util, "utility")):
        values, error = planted_pairs(rng, params, kind, COARSE, POPULATION)  # type: ignore[arg-type]
        for node, share in zip(NODES, SHARES, strict=True):
            score += share * -np.logaddexp(0.0, -(values + error * node)).mean(axis=0)
    on_curves = Rule("preference", Budget())
    most = choose(FINE, preference(FINE, pref)[None], utility(FINE, util)[None], on_curves)
    return {"answer": float(COARSE[score.argmax()]), "preference": float(most[0])}


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
    print("share of 95 % intervals that hold the truth (planted tables of 32 pairs)")
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


# ---------------------------------------------------------------- speed


@dataclass(frozen=True)
class Speed:
    kind: Kind
    first_ms: float  # builds the lattice of starts of this grid
    median_ms: float
    p95_ms: float
    cpu_ms: float  # median of processor time: what the median is where nothing else runs
    thousand_s: float  # 1,000 curves over `jobs` processes, wall clock
    thousand_cpu_s: float  # their processor time, shared out evenly


def _timed_fit(seed: int, kind: Kind) -> tuple[float, float]:
    """Wall and processor time of one fit, ms."""
    rng = np.random.default_rng([11, seed])
    clean = curve_at(kind, M, plant(rng, kind))
    y = clean + 0.01 * np.ptp(clean) * rng.normal(size=len(M))
    wall, cpu = time.perf_counter(), time.process_time()
    fit_curve(M, y, kind, on_failure="return")
    return 1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu)


def speed(n: int, jobs: int, pool: ProcessPoolExecutor) -> list[Speed]:
    rows = []
    for kind in KINDS:
        times = np.array([_timed_fit(seed, kind) for seed in range(1 + n)])
        wall, cpu = times[1:, 0], times[1:, 1]
        list(pool.map(partial(_timed_fit, kind=kind), range(8)))  # processes started, lattices built
        start = time.perf_counter()
        spent = sum(cpu for _, cpu in pool.map(partial(_timed_fit, kind=kind), range(n), chunksize=10)) / 1e3
        total = (time.perf_counter() - start) * 1000 / n
        quantiles = float(np.median(wall)), float(np.quantile(wall, 0.95)), float(np.median(cpu))
        rows.append(Speed(kind, float(times[0, 0]), *quantiles, total, spent / jobs * 1000 / n))
    return rows


def print_speed(rows: list[Speed], jobs: int) -> None:
    print(f"{'speed, default solver':<24}{'first fit':>12}{'median':>12}{'95 %':>12}{'CPU median':>13}", end="")
    print(f"{f'1,000 on {jobs} cores':>19}{'CPU':>9}")
    for row in rows:
        cells = f"{row.first_ms:>9.1f} ms{row.median_ms:>9.1f} ms{row.p95_ms:>9.1f} ms"
        cells += f"{row.cpu_ms:>10.1f} ms{row.thousand_s:>17.1f} s{row.thousand_cpu_s:>7.1f} s"
        print(f"{row.kind:<24}{cells}")


# ---------------------------------------------------------------- command


def misses(recovered: list[Recovery], covered: list[Covered], quick: bool) -> list[str]:
    """What falls short of the numbers that the documentation promises (with room for chance at the quick size)."""
    out = []
    for kind in KINDS:
        for noise, threshold in ((0.0, 1e-8), (0.01, 1e-3)):
            part = [r.unexplained <= threshold for r in recovered if r.kind == kind and r.noise == noise]
            if part and np.mean(part) < (0.97 if quick else 0.99):
                out.append(f"recovery of {kind} at noise {noise:.0%}: {np.mean(part):.1%}")
    if recovered and max(r.gap for r in recovered) > 1e-9:
        out.append("the two sides do not meet at zero")
    low, high = (0.82, 1.0) if quick else (0.92, 0.98)
    rows = [row.values for row in covered if row.method == "bootstrap"]
    for name in dict.fromkeys(name for values in rows for name in values):
        share = float(np.mean([values[name] for values in rows if name in values]))
        if not low <= share <= high:
            out.append(f"coverage of {name} by bootstrap: {share:.1%}")
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["recovery", "coverage", "speed", "all"])
    parser.add_argument("--quick", action="store_true", help="the size the tests run")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a promised number is missed")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    given = parser.parse_args()
    recovered: list[Recovery] = []
    covered: list[Covered] = []
    with ProcessPoolExecutor(given.jobs) as pool:
        if given.what in ("speed", "all"):
            print_speed(speed(100 if given.quick else 1000, given.jobs, pool), given.jobs)
            print()
        if given.what in ("recovery", "all"):
            recovered = recovery(*((25, 1) if given.quick else (1000, 100)), pool)
            print_recovery(recovered)
            print()
        if given.what in ("coverage", "all"):
            methods: tuple[Method, ...] = ("bootstrap",) if given.quick else ("bootstrap", "sandwich")
            covered = coverage(*((30, methods, 100) if given.quick else (500, methods, 200)), pool)
            print_coverage(covered)
    short = misses(recovered, covered, given.quick)
    if given.check and short:
        raise SystemExit("missed: " + "; ".join(short))


if __name__ == "__main__":
    main()
