"""Intervals: over pairs and not points, alike by both methods, honest about what they cannot know."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from scipy import stats

from easyedit_split.analysis import SweepCurve, fit_curve, spread_of
from easyedit_split.analysis.fit.curves import CurveParams, preference_curve, side_slopes, utility_curve
from easyedit_split.analysis.regions import breakdown
from easyedit_split.analysis.uncertainty.bootstrap import _draws
from easyedit_split.analysis.uncertainty.spread import METHODS, FittedPairs, Method, Spread
from easyedit_split.log_odds import PairOdds
from easyedit_split.sweep_curves import CurveKey
from easyedit_split.types import ConfigError, DataError, FloatArray
from tests.analysis.planted import PREF, UTIL, M, continuous, pair_rows, sweep_curve


def planted(n_pairs: int, scatter: float = 1.0, seed: int = 0) -> SweepCurve:
    rng = np.random.default_rng(seed)
    tables = [
        pair_rows(values, rng, n_pairs, scatter) for values in (preference_curve(M, PREF), utility_curve(M, UTIL))
    ]
    return sweep_curve(*tables)


def varied(curve: SweepCurve, method: Method | None = None, replicates: int = 200, seed: int = 0) -> Spread:
    pref = fit_curve(M, curve.preference.mean, "preference")
    util = fit_curve(M, curve.table("utility").mean, "utility")
    return spread_of(curve, pref, util, method=method, replicates=replicates, seed=seed)


def width(found: Spread) -> FloatArray:
    assert found.utility is not None
    estimate = found.utility.coords
    low, high = found.interval(found.utility.values(M), utility_curve(M, estimate.params(estimate.z)))
    return high - low


def test_bootstrap_and_sandwich_give_like_bands() -> None:
    curve = planted(40)
    ratio = width(varied(curve, "bootstrap", 400)) / width(varied(curve, "sandwich"))
    assert np.all((ratio > 0.7) & (ratio < 1.4))


def test_four_times_the_pairs_halve_the_band() -> None:
    small, large = width(varied(planted(20), "sandwich")), width(varied(planted(320), "sandwich"))
    assert np.median(small / large) == pytest.approx(4.0, rel=0.35)


def test_points_are_not_pairs() -> None:
    """Negative control: errors shared by a pair's points make residual-based bands far too narrow."""
    curve = planted(16)
    assert np.median(width(varied(curve, "sandwich")) / width(varied(curve, "residual"))) > 1.5


def test_same_seed_same_intervals_other_seed_others() -> None:
    curve = planted(12)
    first, again, other = (width(varied(curve, "bootstrap", 100, seed)) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def side_of_the_centre(scatter: float, seed: int) -> float:
    """Share of bootstrap draws with m+ > 0 for a curve whose m+ and m- lie near zero; truly m+ < 0."""
    truth = continuous(CurveParams(-0.08, 51.4, -9.1, -0.766, 74.7, 0.658, -0.339, 75.9, 3.4))
    rng = np.random.default_rng(seed)
    curve = sweep_curve(*(pair_rows(v, rng, 32, scatter) for v in (preference_curve(M, truth), utility_curve(M, UTIL))))
    fit = fit_curve(M, curve.preference.mean, "preference")
    found = spread_of(curve, fit, None, method="bootstrap", replicates=200).preference
    assert found is not None
    return float(np.mean(found.theta[:, 0] > 0))


@pytest.mark.parametrize("seed", [0, 2, 3])
def test_draws_of_an_ambiguous_curve_take_both_signs(seed: int) -> None:
    """Whichever sign the estimate has: without it, intervals of the breakdown m covered 90 % instead of 95 %."""
    assert 0.1 < side_of_the_centre(scatter=1.0, seed=seed) < 0.9
    assert side_of_the_centre(scatter=0.02, seed=seed) == 0.0, "control: with little noise the sign is known"


def test_identical_pairs_leave_no_doubt() -> None:
    curve = sweep_curve(*(np.tile(v, (5, 1)) for v in (preference_curve(M, PREF), utility_curve(M, UTIL))))
    assert width(varied(curve, "bootstrap", 100)).max() < 1e-6


def test_the_estimate_of_an_ensemble_is_the_fit() -> None:
    curve = planted(12)
    fit = fit_curve(M, curve.preference.mean, "preference")
    found = spread_of(curve, fit, None, method="sandwich").preference
    assert found is not None
    assert found.values(M).mean(axis=0) == pytest.approx(fit(M), abs=1e-3)
    assert found.slopes().mean(axis=0) == pytest.approx(np.array(side_slopes(fit.params)), abs=1e-2)
    ends = [v for v in breakdown(fit.params) if v is not None]
    assert found.breakdowns().mean(axis=0) == pytest.approx(np.array(ends), abs=1e-1)


def bare(curve: SweepCurve) -> SweepCurve:
    def one(table: PairOdds) -> PairOdds:
        return PairOdds(table.m, table.mean[None], np.zeros(1, dtype=np.int64), False)

    zero = np.zeros(1, dtype=np.int64)
    return SweepCurve(CurveKey(), one(curve.preference), one(curve.table("utility")), zero, ())


def test_a_bare_curve_is_judged_by_residuals_and_says_so() -> None:
    found = varied(bare(planted(10)))
    assert (found.method, found.n_pairs) == ("residual", 0)
    assert np.all(width(found) > 0)
    with pytest.raises(DataError, match="needs one row per pair"):
        varied(bare(planted(10)), "bootstrap")


def test_a_concept_of_one_pair_cannot_be_resampled() -> None:
    curve = planted(6)
    concepts = np.array([0, 0, 0, 0, 0, 1])
    table = PairOdds(M, curve.preference.values, concepts, True)
    lonely = SweepCurve(CurveKey(), table, table, curve.kept, ())
    with pytest.raises(DataError, match="at least two pairs in every concept"):
        varied(lonely, "sandwich")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"level": 1.0}, "between 0 and 1"),
        ({"replicates": 5}, "at least 100"),
        ({"method": "guess"}, "bootstrap, sandwich"),
    ],
)
def test_bad_arguments(arguments: dict[str, object], sentence: str) -> None:
    curve = planted(6)
    fit = fit_curve(M, curve.preference.mean, "preference")
    with pytest.raises(ConfigError, match=sentence):
        inspect.unwrap(spread_of)(curve, fit, None, **arguments)


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_levels_by_hand(level: float) -> None:
    """12 pairs of one concept have 11 degrees of freedom; the bootstrap's tail is widened by sqrt(12 / 11) and by t."""
    curve = planted(12)
    fit = fit_curve(M, curve.preference.mean, "preference")
    t = float(stats.t.ppf((1 + level) / 2, 11))

    def spread(method: Method) -> Spread:
        return spread_of(curve, fit, None, method=method, level=level, replicates=100)

    assert spread("bootstrap").tail == pytest.approx(stats.norm.cdf(-np.sqrt(12 / 11) * t), rel=1e-12)
    assert spread("sandwich").quantile == pytest.approx(t, rel=1e-12)
    assert spread("residual").quantile == pytest.approx(stats.t.ppf((1 + level) / 2, 41 - 8), rel=1e-12)
    for method in METHODS:
        assert spread(method).level == level


def test_both_curves_are_drawn_together() -> None:
    rng = np.random.default_rng(5)
    values = pair_rows(utility_curve(M, UTIL), rng, 12, 1.0)
    found = varied(sweep_curve(values, values), "bootstrap", 100)
    assert found.preference is not None
    assert found.utility is not None
    at = np.array([-10.0, 5.0])
    pref, util = found.preference.values(at), found.utility.values(at)
    for k in range(2):
        assert np.corrcoef(pref[:, k], util[:, k])[0, 1] > 0.9


def test_every_draw_keeps_the_size_of_each_concept() -> None:
    curve = planted(9)
    concepts = np.array([0, 0, 1, 1, 1, 1, 1, 2, 2])
    table = PairOdds(M, curve.preference.values, concepts, True)
    fit = fit_curve(M, table.mean, "preference")
    draws = _draws([FittedPairs(fit, table, np.arange(9))], 50, np.random.default_rng(0))
    for concept, size in ((0, 2), (1, 5), (2, 2)):
        assert np.all(draws[:, concepts == concept].sum(axis=1) == size)
    assert np.ptp(draws[:, 0]) > 0


def test_pairs_without_utility_still_count_for_preference() -> None:
    curve = planted(12)
    kept = np.arange(3, 12)
    util = PairOdds(M, curve.table("utility").values[kept], np.zeros(9, dtype=np.int64), True)
    part = SweepCurve(CurveKey(), curve.preference, util, kept, ("0", "1", "2"))
    for method in ("bootstrap", "sandwich"):
        found = varied(part, method, 100)
        assert found.n_pairs == 9
        assert np.all(width(found) > 0)
