"""Regions, breakdown and the recommended m on curves whose answers are known."""

from __future__ import annotations

import inspect
from dataclasses import replace

import numpy as np
import pytest

from easyedit_split.analysis import (
    Budget,
    Recommendation,
    fit_curve,
    fit_sweep,
    from_curves,
    recommend,
    regions_of,
    spread_of,
)
from easyedit_split.analysis.choose_m.interval import Direction
from easyedit_split.analysis.choose_m.result import Aim
from easyedit_split.analysis.fit.curves import CurveParams, preference_curve, side_slopes, utility_curve, validity
from easyedit_split.analysis.fit.fit_curve import CurveFit
from easyedit_split.analysis.regions import breakdown
from easyedit_split.types import ConfigError, FloatArray
from tests.analysis.planted import PREF, UTIL, M, pair_rows, sweep_curve

ON_CURVES: tuple[Aim, ...] = ("answer", "preference")
FINE = np.linspace(-20.0, 20.0, 400_001)


def fitted(pref: CurveParams = PREF, util: CurveParams = UTIL, m: FloatArray = M) -> tuple[CurveFit, CurveFit]:
    return fit_curve(m, preference_curve(m, pref), "preference"), fit_curve(m, utility_curve(m, util), "utility")


def by_search(pref: CurveParams, util: CurveParams, nats: float, aim: Aim = "preference", sign: float = 1.0) -> float:
    p, u = sign * preference_curve(FINE, pref), utility_curve(FINE, util)
    wanted = p if aim == "preference" else np.log(1 / (1 + np.exp(-p))) + np.log(1 / (1 + np.exp(-u)))
    return float(FINE[np.where(u >= u.max() - nats, wanted, -np.inf).argmax()])


def test_breakdown_is_where_half_the_validity_is_left() -> None:
    left, right = breakdown(PREF)
    assert left is not None
    assert right is not None
    assert left < 0 < right
    assert validity(np.array([left, right]), PREF) == pytest.approx([0.5, 0.5], rel=1e-12)


def test_breakdown_beyond_the_sweep_is_told_from_one_inside() -> None:
    for m, swept in ((M, True), (np.linspace(-2.0, 2.0, 41), False)):
        found = regions_of(fitted(m=m)[0])
        for side, half in zip((found.minus, found.plus), breakdown(PREF), strict=True):
            assert side is not None
            assert side.breakdown == pytest.approx(half, rel=1e-2)
            assert side.breakdown_swept is swept


def test_regions_follow_their_definition() -> None:
    fit, _ = fitted(m=np.linspace(-80.0, 80.0, 161))
    found = regions_of(fit)
    for side in (found.plus, found.minus):
        assert side is not None
        assert side.linear_end is not None
        assert side.convergence_start is not None
        assert 0 < abs(side.linear_end) < abs(side.convergence_start) < 80
        slope = found.slope_right if side.end > 0 else found.slope_left
        near, far = np.array([0.98, 1.05]) * side.linear_end
        y0 = float(fit(np.zeros(1))[0])

        def off(m: float, slope: float = slope, y0: float = y0) -> float:
            return abs(float(fit(np.array([m]))[0]) - y0 - slope * m) / abs(slope * m)

        assert off(near) <= 0.1 < off(far)
        steepest = np.abs(fit.slope(np.linspace(0, side.end, 4001)[1:])).max()
        beyond = np.linspace(side.convergence_start, side.end, 50)
        assert np.abs(fit.slope(beyond)).max() <= 0.1001 * steepest


def test_a_straight_line_has_only_a_linear_region_and_the_linear_law() -> None:
    straight = replace(PREF, L_plus=1e9, L_minus=1e9, m_plus=0.0, m_minus=0.0)
    fit = fit_curve(M, preference_curve(M, straight), "preference")
    found = regions_of(fit)
    assert found.plus is not None
    assert found.plus.linear_end is None
    assert found.plus.convergence_start is None
    assert found.linear_law.slope == pytest.approx(1.5, rel=1e-3)
    assert found.linear_law.r2_all == pytest.approx(1.0, abs=1e-6)
    assert regions_of(fitted()[0]).linear_law.r2_all < 0.9


def test_slopes_at_zero() -> None:
    found = regions_of(fitted()[0])
    assert (found.slope_left, found.slope_right) == pytest.approx(side_slopes(PREF), rel=1e-3)


def test_one_sided_sweep_has_one_side() -> None:
    m = np.linspace(0.0, 20.0, 31)
    found = regions_of(fit_curve(m, preference_curve(m, PREF), "preference"))
    assert found.minus is None
    assert found.plus is not None


@pytest.mark.parametrize("nats", [0.5, 2.0, 10.0])
def test_recommended_m_equals_a_brute_force_search(nats: float) -> None:
    advice = from_curves(*fitted(), budget=Budget(share=None, nats=nats), aim="preference")
    assert advice.m == pytest.approx(by_search(PREF, UTIL, nats), abs=0.03)
    assert advice.below_max <= nats + 1e-6
    assert advice.gain == pytest.approx(
        float(np.diff(preference_curve(np.array([0.0, advice.m or 0.0]), PREF))[0]), rel=1e-2
    )


def test_default_budget_is_a_tenth_of_the_swept_range() -> None:
    advice = from_curves(*fitted(), aim="preference")
    assert advice.budget == pytest.approx(0.1 * np.ptp(utility_curve(FINE, UTIL)), rel=1e-3)
    assert advice.m == pytest.approx(by_search(PREF, UTIL, advice.budget), abs=0.03)
    assert "budget" in advice.reason


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("nats", [0.5, 30.0])
def test_the_answer_aim_equals_a_brute_force_search(nats: float, sign: float) -> None:
    direction: Direction = "raise" if sign > 0 else "lower"
    advice = from_curves(*fitted(), aim="answer", budget=Budget(share=None, nats=nats), direction=direction)
    assert advice.m == pytest.approx(by_search(PREF, UTIL, nats, "answer", sign), abs=0.03)


def test_the_answer_aim_stops_where_the_preference_is_clear() -> None:
    """With the same budget, the other aim goes on paying for preference that no answer needs."""
    certain = replace(PREF, alpha=8.0)
    modest, greedy = (from_curves(*fitted(pref=certain), budget=Budget(share=0.5), aim=aim) for aim in ON_CURVES)
    assert modest.below_max < 0.25 * greedy.below_max
    assert 0 < modest.gain < greedy.gain
    assert "likeliest" in modest.reason
    assert "greatest" in greedy.reason


def test_more_budget_never_gains_less() -> None:
    gains = [from_curves(*fitted(), budget=Budget(share=s), aim="preference").gain for s in (0.02, 0.1, 0.5, 1.0)]
    assert gains == sorted(gains)
    assert gains[0] < gains[1]


def test_lowering_is_raising_the_mirror_image() -> None:
    pref, util = fitted()
    mirrored = replace(PREF, alpha=-PREF.alpha, beta=-PREF.beta, b=-PREF.b)
    for aim in ON_CURVES:
        down = from_curves(pref, util, direction="lower", aim=aim)
        up = from_curves(fitted(pref=mirrored)[0], util, aim=aim)
        assert down.m == pytest.approx(up.m, abs=0.03)
        assert from_curves(pref, util, aim=aim).m != pytest.approx(up.m, abs=1.0)


def refused(advice: Recommendation, because: str) -> None:
    assert advice.m is None
    assert advice.reason.startswith("no usable m: ")
    assert because in advice.reason


def test_no_usable_m_says_why() -> None:
    pref, util = fitted()
    positive = M[M > 0]
    shifted = [fit_curve(positive, f(positive), k) for f, k in ((pref, "preference"), (util, "utility"))]  # type: ignore[arg-type]
    refused(from_curves(*shifted), "without m = 0")
    refused(from_curves(replace(pref, ok=False, message="gave up"), util), "gave up")
    refused(from_curves(replace(pref, r2=0.3), util), "R2 = 0.300")
    falls = fit_curve(M, -np.abs(M) - 0.01 * M**2, "preference", on_failure="return")
    refused(from_curves(falls, util), "no m within the budget raises preference")


def test_a_gain_that_other_pairs_would_undo_is_refused() -> None:
    rng = np.random.default_rng(0)
    util = pair_rows(utility_curve(M, UTIL), rng, 12, 0.5)
    for noise, usable in ((0.2, True), (40.0, False)):
        own = rng.normal(size=(12, 1))
        slopes = noise * (own - own.mean()) * M
        pref = pair_rows(preference_curve(M, replace(PREF, alpha=1.0, beta=0.0)), rng, 12, 0.2) + slopes * validity(
            M, PREF
        )
        curve = sweep_curve(pref, util)
        fits = fit_curve(M, curve.preference.mean, "preference"), fit_curve(M, curve.table("utility").mean, "utility")
        advice = from_curves(*fits, spread=spread_of(curve, *fits, method="sandwich"))
        assert (advice.m is not None) is usable
        if usable:
            assert advice.m_interval is not None
            assert advice.m_interval.low <= (advice.m or 0.0) <= advice.m_interval.high
        else:
            assert "is not significant" in advice.reason


def test_an_interval_of_m_that_holds_zero_is_said() -> None:
    pref, util = fitted()
    curve = sweep_curve(*(pair_rows(f(M), np.random.default_rng(1), 12, 0.01) for f in (pref, util)))
    varied = spread_of(curve, pref, util, method="sandwich")
    sure = from_curves(pref, util, spread=varied)
    assert sure.m_interval is not None
    assert sure.m_interval.low > 0
    assert "contains 0" not in sure.reason
    assert varied.draws is not None
    assert varied.draws.utility is not None
    linear = varied.draws.utility.linear.copy()
    linear[::3, 2] = -500.0  # in every third version utility allows negative m only
    torn = replace(varied.draws, utility=replace(varied.draws.utility, linear=linear))
    unsure = from_curves(pref, util, spread=replace(varied, draws=torn))
    assert unsure.m_interval is not None
    assert unsure.m_interval.low <= 0 <= unsure.m_interval.high
    assert unsure.reason.startswith(sure.reason)
    assert unsure.reason.endswith(
        "; the 95 % confidence interval of m contains 0: it does not differ significantly from 0"
    )


def test_end_of_the_sweep_is_said() -> None:
    m = np.linspace(-2.0, 2.0, 41)
    advice = from_curves(*fitted(m=m), budget=Budget(share=1.0), aim="preference")
    assert advice.at_edge
    assert "wider sweep" in advice.reason
    assert not from_curves(*fitted()).at_edge


@pytest.mark.parametrize(
    ("text", "budget"), [("10%", Budget(0.1)), ("2.5", Budget(None, 2.5)), ("3 nats", Budget(None, 3.0))]
)
def test_budget_text(text: str, budget: Budget) -> None:
    assert Budget.parse(text) == budget


@pytest.mark.parametrize("text", ["ten", "0%", "-1", "120%", "", "nan", "inf"])
def test_budget_text_that_is_none(text: str) -> None:
    with pytest.raises(ConfigError):
        Budget.parse(text)


def test_bad_arguments() -> None:
    pref, util = fitted()
    (item,) = fit_sweep([sweep_curve(preference_curve(M, PREF)[None], utility_curve(M, UTIL)[None])])
    with pytest.raises(ConfigError, match="'raise' or 'lower'"):
        inspect.unwrap(recommend)(item, direction="up")
    with pytest.raises(ConfigError, match="aim 'most' is unknown; use one of capped, answer, preference, kl, text"):
        inspect.unwrap(recommend)(item, aim="most")
    with pytest.raises(ConfigError, match="a preference and a utility fit"):
        from_curves(util, pref)
