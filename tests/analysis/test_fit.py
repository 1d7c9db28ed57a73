"""Fitting: planted curves come back, symmetries hold, both solvers agree, bad input is refused with a sentence."""

from __future__ import annotations

import inspect
from dataclasses import replace

import numpy as np
import pytest

from easyedit_split.analysis import FitError, fit_curve
from easyedit_split.analysis.fit.curves import continuity_gap, params_vector, preference_curve, utility_curve
from easyedit_split.analysis.fit.fit_curve import SOLVERS, curve_at
from easyedit_split.analysis.fit.least_squares import SolverResult
from easyedit_split.analysis.fit.problem import curve_problem
from easyedit_split.sweep_curves import KINDS, Kind
from easyedit_split.types import ConfigError, DataError, FloatArray
from tests.analysis.planted import PREF, UTIL, M
from tests.benchmark_files import benchmark

TRUTH = {"preference": PREF, "utility": UTIL}


@pytest.mark.parametrize("solver", ["least_squares", "slsqp"])
@pytest.mark.parametrize("kind", KINDS)
def test_planted_parameters_come_back(kind: Kind, solver) -> None:  # type: ignore[no-untyped-def]
    fit = fit_curve(M, curve_at(kind, M, TRUTH[kind]), kind, solver=solver)
    assert fit.ok
    assert 1 - fit.r2 < 1e-10
    if solver == "least_squares":
        assert params_vector(fit.params) == pytest.approx(params_vector(TRUTH[kind]), rel=1e-3)
    assert continuity_gap(fit.params) * abs(fit.params.beta) < 1e-9


def test_solvers_agree_under_noise() -> None:
    kind: Kind = "preference"
    y = curve_at(kind, M, TRUTH[kind])
    y = y + 0.01 * np.ptp(y) * np.random.default_rng(0).normal(size=len(M))
    ours, paper = (fit_curve(M, y, kind, solver=name).r2 for name in ("least_squares", "slsqp"))
    assert ours == pytest.approx(paper, abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "m",
    [
        np.linspace(0.0, 20.0, 21),
        np.linspace(-20.0, 0.0, 21),
        np.linspace(0.5, 20.0, 21),
        np.concatenate([np.linspace(-6.0, -1.0, 8), [0.0], np.geomspace(0.5, 25.0, 20)]),
    ],
    ids=["plus", "minus", "plus without 0", "asymmetric"],
)
def test_one_sided_and_asymmetric_grids(kind: Kind, m: FloatArray) -> None:
    y = curve_at(kind, m, TRUTH[kind])
    fit = fit_curve(m, y, kind)
    assert 1 - fit.r2 < 1e-8
    assert fit(m) == pytest.approx(y, abs=1e-3 * np.ptp(y))
    swept = (m > 0).any(), (m < 0).any()
    assert (np.isfinite(fit.params.L_plus), np.isfinite(fit.params.L_minus)) == swept
    assert fit.n_params == (3 if kind == "preference" else 2) + (5 if all(swept) else 3)


def test_order_does_not_matter_and_values_do() -> None:
    rng = np.random.default_rng(1)
    y = preference_curve(M, PREF) + 0.1 * rng.normal(size=len(M))
    order = rng.permutation(len(M))
    assert fit_curve(M[order], y[order], "preference").params == fit_curve(M, y, "preference").params
    assert fit_curve(M, y[order], "preference").r2 < 0.9


def test_units_of_m_and_y_scale_the_parameters() -> None:
    y = preference_curve(M, PREF) + 0.05 * np.random.default_rng(2).normal(size=len(M))
    fit, scaled = fit_curve(M, y, "preference"), fit_curve(M / 1000, 5 * y - 3, "preference")
    assert scaled.r2 == pytest.approx(fit.r2, abs=1e-7)
    assert scaled(M / 1000) == pytest.approx(5 * fit(M) - 3, abs=1e-2)


def test_mirrored_data_give_the_mirrored_curve() -> None:
    y = utility_curve(M, UTIL) + 0.05 * np.random.default_rng(3).normal(size=len(M))
    fit, mirrored = fit_curve(M, y, "utility"), fit_curve(-M, y, "utility")
    assert mirrored(-M[::-1])[::-1] == pytest.approx(fit(M), abs=1e-2)


def test_a_curve_outside_the_family_is_not_fitted_perfectly() -> None:
    assert fit_curve(M, np.sin(M), "preference").r2 < 0.9


@pytest.mark.parametrize(
    ("m", "y", "sentence"),
    [
        (M, np.where(M == 3, np.nan, M), "preference is nan at point 23"),
        (M, np.where(M == 3, np.inf, M), "preference is inf at point 23"),
        (np.where(M == 3, np.nan, M), M, "m is nan at point 23"),
        (M, np.full(41, 2.0), "constant"),
        (M[17:24], M[17:24], "7 points cannot fit the 8 parameters"),
        (M[:5], M[:5], "5 points cannot fit the 6 parameters"),
        (np.where(M == 3, 4.0, M), M, "m = 4 appears more than once"),
        (np.where(M == 3, np.nextafter(4.0, 0.0), M), M, "m = 3.9999999999999996 and m = 4 are too close"),
        (M * 1e9, M, "at most 1e\\+09"),
        (M * 1e-199, M, "m reaches 2e-198 only"),
        (M, M * 1e200, "the preference reaches 2e\\+201 nats"),
        (np.empty(0), np.empty(0), "0 points"),
    ],
)
def test_bad_input_gets_one_sentence(m: FloatArray, y: FloatArray, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        inspect.unwrap(fit_curve)(np.asarray(m, dtype=np.float64), np.asarray(y, dtype=np.float64), "preference")


@pytest.mark.parametrize(
    ("m", "y", "sentence"),
    [
        (M[:, None], M[:, None], r"m has shape \(41, 1\)"),
        (np.array(1.0), np.array(1.0), r"m has shape \(\)"),
        (M, np.tile(M, (2, 1)), r"preference has shape \(2, 41\)"),
    ],
)
def test_points_are_a_plain_list(m: FloatArray, y: FloatArray, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        inspect.unwrap(curve_problem)(m, y, "preference")


def test_the_smallest_and_largest_numbers_that_are_allowed_are_fitted() -> None:
    for unit, nats in ((1e-98, 1.0), (1.0, 1e97)):
        fit = fit_curve(M * unit, preference_curve(M, PREF) * nats, "preference")
        assert 1 - fit.r2 < 1e-10


def test_quality_by_hand() -> None:
    """RMSE = sqrt(SSE / n), AIC = n log(SSE / n) + 2 k, BIC = n log(SSE / n) + k log n; k = 7 for utility."""
    y = utility_curve(M, UTIL) + 0.3 * np.random.default_rng(4).normal(size=len(M))
    fit = fit_curve(M, y, "utility")
    mse = float(np.square(y - utility_curve(M, fit.params)).sum()) / 41
    assert fit.rmse == pytest.approx(np.sqrt(mse), rel=1e-12)
    assert fit.aic == pytest.approx(41 * np.log(mse) + 2 * 7, rel=1e-12)
    assert fit.bic == pytest.approx(41 * np.log(mse) + 7 * np.log(41), rel=1e-12)


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(DataError, match="41 points and the preference has 5"):
        inspect.unwrap(curve_problem)(M, M[:5], "preference")


def test_unknown_solver_is_refused() -> None:
    with pytest.raises(ConfigError, match="least_squares, slsqp"):
        inspect.unwrap(fit_curve)(M, M, "preference", solver="newton")


def test_a_failed_fit_is_never_returned_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOLVERS, "least_squares", lambda problem: SolverResult(PREF, False, "gave up", 1, 1))
    y = preference_curve(M, PREF)
    with pytest.raises(FitError, match="gave up"):
        fit_curve(M, y, "preference")
    assert not fit_curve(M, y, "preference", on_failure="return").ok


def test_what_the_points_cannot_tell_apart_is_named() -> None:
    sharp = fit_curve(M, utility_curve(M, UTIL), "utility")
    assert sharp.unidentified == ()
    gaussian = fit_curve(M, 30 * np.exp(-(M**2) / 80), "utility")  # p and L only through p / L
    assert {"p_plus", "L_plus", "p_minus", "L_minus"} <= set(gaussian.unidentified)
    assert {"p_plus", "p_minus"} & set(gaussian.at_bound)
    assert any({"L_plus", "p_plus"} <= set(group) for group in gaussian.trade_offs)


def test_criteria_prefer_the_true_number_of_parameters() -> None:
    y = utility_curve(M, UTIL) + 0.3 * np.random.default_rng(4).normal(size=len(M))
    as_utility, as_preference = fit_curve(M, y, "utility"), fit_curve(M, y, "preference")
    assert as_preference.r2 >= as_utility.r2
    assert as_utility.bic < as_preference.bic


def test_recovery_fails_where_it_must() -> None:
    """Negative control: with noise as large as the curve the thresholds are not met."""
    assert benchmark("curve_recovery").recover(0, False, "preference", 1.0).unexplained > 1e-3


def test_replace_keeps_results_frozen() -> None:
    fit = fit_curve(M, utility_curve(M, UTIL), "utility")
    with pytest.raises(AttributeError):
        fit.r2 = 1.0  # type: ignore[misc]
    assert replace(fit, r2=0.0).r2 == 0.0
