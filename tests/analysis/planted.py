"""Planted curves and tables for the tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from easyedit_split.analysis.fit.curves import CurveParams
from easyedit_split.log_odds import PairOdds
from easyedit_split.sweep_curves import CurveKey, SweepCurve
from easyedit_split.types import FloatArray

ROOT = Path(__file__).parents[2]
M = np.linspace(-20.0, 20.0, 41)
PREF = CurveParams(1.5, 2.0, -1.0, 0.8, 60.0, 1.4, -1.1, 113.437, 1.4)
UTIL = CurveParams(0.0, 30.0, -45.0, 1.5, 90.0, 1.2, -1.2, 57.6, 1.2)


def continuous(params: CurveParams) -> CurveParams:
    """The same with m- moved so that D+(0) = D-(0)."""
    kappa = params.p_plus * np.log1p(params.m_plus**2 / params.L_plus)
    m_minus = -float(np.sqrt(params.L_minus * np.expm1(kappa / params.p_minus)))
    return CurveParams(
        params.alpha,
        params.beta,
        params.b,
        params.m_plus,
        params.L_plus,
        params.p_plus,
        m_minus,
        params.L_minus,
        params.p_minus,
    )


PREF, UTIL = continuous(PREF), continuous(UTIL)


def pair_rows(values: FloatArray, rng: np.random.Generator, n_pairs: int, scatter: float) -> FloatArray:
    """``[n_pairs, n]``: the curve, an offset of each pair and independent errors, both of size `scatter` nats."""
    offset = scatter * rng.normal(size=(n_pairs, 1))
    return np.asarray(values + offset + scatter * rng.normal(size=(n_pairs, len(values))), dtype=np.float64)


def sweep_curve(pref: FloatArray, util: FloatArray, m: FloatArray = M) -> SweepCurve:
    """A curve of one concept from two tables of pairs."""
    n = len(pref)
    concepts = np.zeros(n, dtype=np.int64)
    kept = np.arange(n, dtype=np.int64)
    return SweepCurve(CurveKey(), PairOdds(m, pref, concepts, True), PairOdds(m, util, concepts, True), kept, ())


def sweep_table(rng: np.random.Generator, keys: list[dict[str, str]], n_pairs: int = 6) -> pd.DataFrame:
    """Rows of a sweep file with planted curves, one curve per key."""
    from easyedit_split.analysis.fit.curves import preference_curve, utility_curve

    frames = []
    for key in keys:
        pref = pair_rows(preference_curve(M, PREF), rng, n_pairs, 0.2)
        util = pair_rows(utility_curve(M, UTIL), rng, n_pairs, 0.2)
        for pair in range(n_pairs):
            part = {"pair": str(pair), "m1": M, "pref": pref[pair], "util": util[pair], "status": "ok"}
            frames.append(pd.DataFrame({**key, **part}))
    return pd.concat(frames, ignore_index=True)
