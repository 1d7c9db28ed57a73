"""Eq. 12, 15 and 17: exact values, derivatives against central differences, and the free coordinates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from easyedit_split.analysis.fit.curves import (
    PARAM_NAMES,
    CurveParams,
    continuity_gap,
    params_vector,
    preference_curve,
    preference_dm,
    preference_gradient,
    side_slopes,
    utility_curve,
    utility_dm,
    utility_gradient,
    validity,
    validity_dm,
)
from easyedit_split.analysis.fit.decay import RationalQuadratic, from_params, to_params
from tests.analysis.planted import PREF, UTIL, M
from tests.benchmark_files import benchmark

OFF_GRID = np.array([-13.3, -4.7, -0.9, 0.4, 2.2, 11.9])


def test_values_by_hand() -> None:
    params = CurveParams(2.0, 3.0, -1.0, 1.0, 4.0, 0.5, -1.0, 4.0, 0.5)
    assert validity(np.array([1.0, 3.0, -3.0]), params) == pytest.approx([1.0, 2**-0.5, 2**-0.5], rel=1e-15)
    assert preference_curve(np.array([3.0]), params) == pytest.approx([9 * 2**-0.5 - 1], rel=1e-15)
    assert utility_curve(np.array([3.0]), params) == pytest.approx([3 * 2**-0.5 - 1], rel=1e-15)


def test_utility_is_preference_without_alpha_and_not_with_it() -> None:
    assert np.array_equal(preference_curve(M, replace(PREF, alpha=0.0)), utility_curve(M, PREF))
    assert not np.allclose(preference_curve(M, PREF), utility_curve(M, PREF))


@pytest.mark.parametrize(
    ("curve", "derivative"),
    [(validity, validity_dm), (preference_curve, preference_dm), (utility_curve, utility_dm)],
)
def test_derivative_in_m(curve, derivative) -> None:  # type: ignore[no-untyped-def]
    h = 1e-6
    numeric = (curve(OFF_GRID + h, PREF) - curve(OFF_GRID - h, PREF)) / (2 * h)
    assert derivative(OFF_GRID, PREF) == pytest.approx(numeric, abs=1e-8)


@pytest.mark.parametrize(
    ("curve", "gradient"), [(preference_curve, preference_gradient), (utility_curve, utility_gradient)]
)
def test_gradient_in_every_parameter(curve, gradient) -> None:  # type: ignore[no-untyped-def]
    exact = gradient(OFF_GRID, PREF)
    for k, name in enumerate(PARAM_NAMES):
        h = 1e-6 * max(1.0, abs(getattr(PREF, name)))
        up, down = (curve(OFF_GRID, replace(PREF, **{name: getattr(PREF, name) + s * h})) for s in (1, -1))
        assert exact[:, k] == pytest.approx((up - down) / (2 * h), abs=1e-7), name


def test_slopes_at_zero_are_one_sided_limits() -> None:
    h = 1e-7
    at = preference_curve(np.array([-h, 0.0, h]), PREF)
    left, right = side_slopes(PREF)
    assert [left, right] == pytest.approx((np.diff(at) / h).tolist(), abs=1e-5)
    assert abs(left - right) > 1e-3  # the planted curve has a kink, so the test can tell the sides apart


def test_continuity_gap_sees_a_jump() -> None:
    assert continuity_gap(PREF) < 1e-15
    assert continuity_gap(replace(PREF, m_minus=-5.0)) > 0.1


@pytest.mark.parametrize("seed", range(20))
def test_free_coordinates_round_trip_and_are_continuous(seed: int) -> None:
    rng = np.random.default_rng(seed)
    params = benchmark("curve_prior").plant(rng, "preference")
    decay = RationalQuadratic(M / 20.0, 20, True)
    back = to_params(decay, *from_params(decay, params, 20.0), 20.0)
    assert params_vector(back) == pytest.approx(params_vector(params).astype(np.float64), rel=1e-9)
    theta = rng.normal(size=5)
    assert continuity_gap(to_params(decay, theta, 1.0, rng.normal(size=3), 20.0)) < 1e-13


def test_free_coordinates_jacobian_also_at_kappa_zero() -> None:
    decay = RationalQuadratic(M / 20.0, 20, True)
    theta = np.array([[0.7, 0.3, -0.5, 1.0, 0.8], [0.0, 1.0, 0.5, -0.5, 0.2]])
    sigma = np.array([1.0, -1.0])
    exact = decay.jacobian(theta, sigma)
    for k in range(5):
        h = np.zeros(5)
        h[k] = 1e-6
        numeric = (decay.log_relative(theta + h, sigma) - decay.log_relative(theta - h, sigma)) / 2e-6
        assert exact[:, :, k] == pytest.approx(numeric, abs=1e-8)


def test_a_side_that_was_not_swept_is_nan() -> None:
    params = replace(UTIL, m_minus=float("nan"), L_minus=float("nan"), p_minus=float("nan"))
    values = utility_curve(np.array([-1.0, 1.0]), params)
    assert np.isnan(values[0])
    assert np.isfinite(values[1])
