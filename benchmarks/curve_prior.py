"""Random curves with known parameters, for simulations.

Prior of planted curves (41 points, m = -20, -19, ..., 20):

    p+, p-      log-uniform in [0.1, 10]
    L+, L-      log-uniform in [1, 10 000]  (scale sqrt(L) from one grid step to five times the sweep)
    |m+|        log-uniform in [0.02, 20], either sign; |m-| follows from D+(0) = D-(0), either sign, same range
    |alpha|     log-uniform in [0.05, 5] nats per unit of m, either sign (utility: 0)
    |beta|      log-uniform in [1, 100] nats, either sign (utility: positive)
    b           uniform in [-50, 50] nats

drawn anew unless the curve varies and is resolved by the grid: on each side D changes by at least 0.02 inside the
sweep, and the distance from the peak of D to D = 1/2 is at least two grid steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from easyedit_split.analysis.fit.curves import CurveParams, validity
from easyedit_split.analysis.regions import breakdown
from easyedit_split.sweep_curves import Kind

M = np.linspace(-20.0, 20.0, 41)
FINE = np.linspace(-20.0, 20.0, 4001)
STEP = 1.0


@dataclass(frozen=True)
class Prior:
    """Ranges of the parameters of the random curves."""

    p: tuple[float, float] = (0.1, 10.0)
    L: tuple[float, float] = (1.0, 10_000.0)
    centre: tuple[float, float] = (0.02, 20.0)
    half: tuple[float, float] = (-math.inf, math.inf)


WIDE = Prior()
TABLES = Prior(p=(0.3, 4.0), centre=(0.1, 5.0), half=(4.0, 18.0))


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def plant(rng: np.random.Generator, kind: Kind, prior: Prior = WIDE) -> CurveParams:
    """Draw one random curve from the prior."""
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
