"""Parameter recovery: whether a fit to simulated points, with and without noise, reproduces the true curve."""

from __future__ import annotations

import math
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from curve_prior import M, plant

from easyedit_split.analysis.fit.curves import CurveParams, continuity_gap
from easyedit_split.analysis.fit.decay import from_params, to_params
from easyedit_split.analysis.fit.fit_curve import curve_at, fit_curve, r_squared
from easyedit_split.analysis.fit.problem import curve_problem
from easyedit_split.analysis.fit.varpro import solve
from easyedit_split.sweep_curves import KINDS, Kind
from easyedit_split.types import FloatArray

THRESHOLDS = ((0.0, 1e-8), (0.01, 1e-3))
"""Noise, and the 1 - R2 against the noiseless curve below which a curve counts as recovered."""


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
    """The curve found by a single search that starts at the true parameters."""
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
        for noise, threshold in THRESHOLDS:
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
