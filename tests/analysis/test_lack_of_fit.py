"""Fits that say where they are wrong: misfit tests, the smooth curve instead, weights, bounds, bands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.interpolate import make_smoothing_spline

from easyedit_split.analysis import fit_curve, lack_of_fit, read_curves, regions_of, smooth_curve, spread_of
from easyedit_split.analysis.fit.curves import preference_curve, utility_curve
from easyedit_split.analysis.fit.decay import RationalQuadratic
from easyedit_split.analysis.fit.weights import spacing_weights
from easyedit_split.analysis.uncertainty.band import left_out_by_band
from easyedit_split.log_odds import PairOdds
from easyedit_split.types import FloatArray
from tests.analysis.planted import PREF, UTIL, M

CASES = Path(__file__).parents[3] / "shared" / "cases" / "30-which-m"


def pairs_of(rng: np.random.Generator, mean: FloatArray, n: int = 16) -> PairOdds:
    """Pairs around a mean curve: own offset, own slope and own bend, which leave the mean's form alone."""
    own = rng.normal(size=(4, n, 1))
    own -= own.mean(axis=1, keepdims=True) * rng.normal(size=(4, 1, 1))
    bends = own[0] + 0.05 * own[1] * M + 0.3 * own[2] * np.cos(M / 4) + 0.3 * own[3] * np.sin(M / 5)
    return PairOdds(M, mean + bends, np.zeros(n, dtype=np.int64), True)


def test_a_form_that_is_right_is_seldom_called_wrong_and_one_that_is_wrong_is() -> None:
    called = {"right": 0, "wrong": 0}
    for seed in range(20):
        rng = np.random.default_rng(seed)
        right = utility_curve(M, UTIL)
        for name, mean in (("right", right), ("wrong", right + 2.0 * np.exp(-np.square(M - 3.0)))):
            table = pairs_of(rng, mean)
            found = lack_of_fit(fit_curve(M, table.mean, "utility", on_failure="return"), table)
            assert found is not None
            called[name] += found.sweep.counts
    assert called["right"] <= 4
    assert called["wrong"] >= 18


def test_a_miss_is_said_where_it_is() -> None:
    table = pairs_of(np.random.default_rng(1), utility_curve(M, UTIL) + 3.0 * (M == 0))
    fit = fit_curve(M, table.mean, "utility", on_failure="return")
    found = lack_of_fit(fit, table, m=15.0)
    assert found is not None
    assert found.zero.counts
    assert found.chosen is not None
    assert not found.chosen.counts
    assert "near m = 0" in found.zero.sentence()
    bare = replace(table, has_pairs=False)
    assert lack_of_fit(fit, bare) is None, "nothing says how a bare curve's points scatter"


def test_the_smooth_curve_is_scipys_on_an_even_grid() -> None:
    y = np.tanh(M / 4) * 10 + 0.05 * np.random.default_rng(0).normal(size=len(M))
    own, other = smooth_curve(PairOdds(M, y[None], np.zeros(1, dtype=np.int64), False)), make_smoothing_spline(M, y)
    assert own is not None
    fine = np.linspace(-20, 20, 201)
    assert own(fine) == pytest.approx(other(fine), abs=0.03)
    assert own.slope == pytest.approx(float(other.derivative()(0.0)), abs=0.02)
    assert own.slope_interval is None


def test_the_smooth_slope_is_right_and_its_interval_covers_what_a_coarse_grid_hides() -> None:
    rng = np.random.default_rng(3)

    def rows(m: FloatArray) -> FloatArray:
        own = np.random.default_rng(4).normal(size=(12, 1))
        return np.asarray((10 + own) * np.tanh(m / 2) - 0.01 * m**2 + own, dtype=np.float64)

    true = float((10 + np.random.default_rng(4).normal(size=(12, 1))).mean() / 2)
    ends = {}
    for step in (0.5, 2.0):
        m = np.arange(-20.0, 20.1, step)
        found = smooth_curve(PairOdds(m, rows(m), np.zeros(12, dtype=np.int64), True))
        assert found is not None
        assert found.slope_interval is not None
        assert found.slope_interval.low <= true <= found.slope_interval.high
        ends[step] = found.slope_interval
    assert ends[2.0].high - ends[2.0].low > 1.5 * (ends[0.5].high - ends[0.5].low)
    del rng


def test_a_linear_region_follows_the_points_where_the_form_does_not() -> None:
    """A straight line through zero that bends at 6: the smooth curve says so."""
    y = np.clip(M, -6, 6) * 2.0
    found = smooth_curve(PairOdds(M, y[None], np.zeros(1, dtype=np.int64), False))
    assert found is not None
    left, right = found.linear_ends
    assert left == pytest.approx(-6.5, abs=1.0)
    assert right == pytest.approx(6.5, abs=1.0)


def test_points_that_were_added_by_a_closer_look_share_the_weight_of_one() -> None:
    assert (spacing_weights(M) == 1.0).all()
    refined = np.union1d(M, np.linspace(4.0, 6.0, 41))
    weights = spacing_weights(refined)
    inside = (refined > 4.0) & (refined < 6.0)
    assert weights.mean() == pytest.approx(1.0)
    assert weights[inside].sum() < 4.0 * weights[~inside].max()
    bent = preference_curve(M, PREF), preference_curve(refined, PREF) + 0.5 * np.exp(-np.square(refined - 5) * 4)
    coarse, fine = fit_curve(M, bent[0], "preference"), fit_curve(refined, bent[1], "preference", on_failure="return")
    assert fine(M) == pytest.approx(coarse(M), abs=0.35)


def test_a_refined_side_does_not_loosen_the_other() -> None:
    plain, refined = (
        RationalQuadratic(x, int((x < 0).sum()), True) for x in (M / 20, np.union1d(M, np.linspace(4, 6, 201)) / 20)
    )
    assert refined.L_low == pytest.approx(plain.L_low)
    near = np.union1d(M, [0.01]) / 20
    loosened = RationalQuadratic(near, 20, True).L_low
    assert loosened[0] < 1e-3 * plain.L_low[0]
    assert loosened[1] == pytest.approx(plain.L_low[1])


def test_a_band_that_leaves_out_its_curve_is_counted() -> None:
    table = pairs_of(np.random.default_rng(0), utility_curve(M, UTIL))
    from tests.analysis.planted import sweep_curve

    curve = sweep_curve(table.values, table.values)
    fit = fit_curve(M, table.mean, "utility")
    varied = spread_of(curve, None, fit, replicates=100)
    assert left_out_by_band(varied, fit) == 0.0
    off = replace(fit, params=replace(fit.params, b=fit.params.b + 50.0))
    assert left_out_by_band(varied, off) > 0.9
    assert varied.n_refits == 100
    assert varied.warning == ("" if not varied.n_failed else varied.warning)
    assert "3 of 100 refits did not converge" in replace(varied, n_failed=3).warning


@pytest.mark.skipif(not CASES.is_dir(), reason="no ../shared/cases")
def test_a_refined_and_a_coarse_sweep_of_one_artifact_say_the_same_slope() -> None:
    found = {}
    for name in ("c_dm_coarse.parquet", "c_dm.parquet"):
        (curve,) = read_curves([CASES / name])
        table = curve.preference
        fit = fit_curve(table.m, table.mean, "preference", on_failure="return")
        misfit, smooth = lack_of_fit(fit, table), smooth_curve(table)
        assert misfit is not None
        assert misfit.slopes_are_wrong
        assert smooth is not None
        assert smooth.slope_interval is not None
        found[name] = smooth
        assert max(abs(regions_of(fit).slope_left), abs(regions_of(fit).slope_right)) < 60, "no spike of slope 161"
    one, other = found.values()
    assert one.slope_interval.low <= other.slope <= one.slope_interval.high
    assert other.slope_interval.low <= one.slope <= other.slope_interval.high


@pytest.mark.skipif(not CASES.is_dir(), reason="no ../shared/cases")
def test_refits_settle_and_the_band_holds_its_curve() -> None:
    (curve,) = read_curves([CASES / "c_lw_split.parquet"])
    fits = [
        fit_curve(t.m, t.mean, k, on_failure="return")
        for t, k in ((curve.preference, "preference"), (curve.table("utility"), "utility"))
    ]  # type: ignore[arg-type]
    varied = spread_of(curve, *fits)
    assert varied.n_failed <= 0.02 * varied.n_refits
    assert [left_out_by_band(varied, fit) for fit in fits] == [0.0, 0.0]
