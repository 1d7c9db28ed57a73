"""The m at which the wanted answers are likeliest: against brute force, and where it is refused."""

from __future__ import annotations

import inspect
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from easyedit_split.analysis import (
    Budget,
    Direction,
    PairOdds,
    Recommendation,
    SweepCurve,
    SweepFit,
    fit_sweep,
    from_curves,
    from_pairs,
    recommend,
)
from easyedit_split.analysis.choose_m.scored_pairs import ScoredPairs, wanted_log_p
from easyedit_split.analysis.fit.curves import preference_curve, utility_curve
from easyedit_split.types import ConfigError, DataError, FloatArray
from tests.analysis.planted import PREF, UTIL, M, sweep_curve

FINE = np.linspace(-20.0, 20.0, 8001)


def planted_pairs(m: FloatArray, n: int = 24, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    """Pairs with their own rate of preference, and their own height and slope of utility; no error of points."""
    rng = np.random.default_rng(seed)
    rate, height, slope = np.exp(0.4 * rng.normal(size=n)), 3.0 * rng.normal(size=n), 0.3 * rng.normal(size=n)
    pref = np.array([preference_curve(m, replace(PREF, alpha=PREF.alpha * r)) for r in rate])
    return pref, utility_curve(m, UTIL) + height[:, None] + slope[:, None] * m


def planted(n: int = 24, seed: int = 0, m: FloatArray = M) -> SweepCurve:
    return sweep_curve(*planted_pairs(m, n, seed), m)


def by_search(sign: float = 1.0, nats: float = np.inf) -> float:
    pref, util = planted_pairs(FINE)
    score = (-np.log1p(np.exp(-sign * pref)) - np.log1p(np.exp(-util))).mean(axis=0)
    mean = util.mean(axis=0)
    return float(FINE[np.where(mean >= mean.max() - nats, score, -np.inf).argmax()])


def test_the_score_is_the_wanted_answers_log_probability() -> None:
    """log p_p = log sigma(pref) + log sigma(util), by Eq. 7 and 8 from two losses."""
    L_p, L_n = np.array([0.7, 3.0, 40.0]), np.array([2.0, 0.4, 41.0])
    both = np.exp(-L_p) + np.exp(-L_n)
    pref, util = L_n - L_p, np.log(both) - np.log1p(-both)
    assert wanted_log_p(pref, util, 1.0) == pytest.approx(-L_p, rel=1e-12)
    assert wanted_log_p(pref, util, -1.0) == pytest.approx(-L_n, rel=1e-12)


@pytest.mark.parametrize(("direction", "sign"), [("raise", 1.0), ("lower", -1.0)])
@pytest.mark.parametrize("nats", [0.5, np.inf])
def test_m_equals_a_brute_force_search(direction: Direction, sign: float, nats: float) -> None:
    """Interpolated between 41 swept m, against the pairs' own curves."""
    advice = from_pairs(planted(), direction=direction, budget=None if np.isinf(nats) else Budget(None, nats))
    truth = by_search(sign, nats)
    assert advice.m == pytest.approx(truth, abs=0.15)
    assert abs(truth) > 0.5, "control: not just anything near zero"
    assert advice.m is not None
    assert (advice.budget is None) is bool(np.isinf(nats))
    pref, util = (rows.mean(axis=0) for rows in planted_pairs(np.array([0.0, advice.m])))
    assert advice.gain == pytest.approx(sign * float(np.diff(pref)[0]), abs=0.05)
    assert advice.paid == pytest.approx(-float(np.diff(util)[0]), abs=0.05)
    assert advice.helped == (24, 24)


def test_each_pair_counts_by_itself() -> None:
    """Half of the pairs turn at m = 2, half at m = 8: the mean is clear long before the slow ones have turned."""
    steps = np.clip(M / 2.0, -1, 1), np.clip((M - 7.0), -1, 1)
    pref = np.repeat(np.array([40.0 * steps[0], 6.0 * steps[1]]), 8, axis=0)
    util = np.repeat(-0.02 * M[None] ** 2, 16, axis=0)
    curve = sweep_curve(pref, util)
    advice = from_pairs(curve)
    assert advice.m is not None
    assert advice.m > 7.5
    mean = wanted_log_p(pref.mean(axis=0), util.mean(axis=0), 1.0)
    assert M[mean.argmax()] < 3, "control: the mean curve stops early"


def test_order_and_names_of_pairs_do_not_matter() -> None:
    pref, util = planted_pairs(M)
    mixed = np.random.default_rng(0).permutation(len(pref))
    one, other = from_pairs(sweep_curve(pref, util)), from_pairs(sweep_curve(pref[mixed], util[mixed]))
    for name in ("m", "gain", "paid", "below_max"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-12)
    assert one.helped == other.helped


def concepts(curve: SweepCurve, codes: list[int]) -> SweepCurve:
    labels = np.array(codes, dtype=np.int64)
    tables = [replace(t, concepts=labels) for t in (curve.preference, curve.table("utility"))]
    return replace(curve, preference=tables[0], utility=tables[1])


def test_the_error_is_that_of_a_mean_over_concepts() -> None:
    curve = concepts(planted(9), [0, 0, 0, 0, 0, 0, 1, 1, 1])
    values = np.random.default_rng(2).normal(size=(9, 2))
    groups = values[:6], values[6:]
    slow = [sum(g[:, k].var(ddof=1) / len(g) for g in groups) ** 0.5 / 2 for k in range(2)]
    assert ScoredPairs.of(curve, "raise").standard_error(values) == pytest.approx(slow, rel=1e-12)


def test_the_interval_holds_what_the_pairs_cannot_tell_from_the_best() -> None:
    """At its ends the mean difference of scores is t standard errors; beyond, more."""
    curve = planted(m=np.linspace(-20.0, 20.0, 401))  # so fine that interpolation hides nothing
    advice = from_pairs(curve, aim="answer")
    assert advice.m is not None
    assert advice.m_interval is not None
    low, high = advice.m_interval.low, advice.m_interval.high
    assert low < advice.m < high
    score = {m: wanted_log_p(*planted_pairs(np.array([m])), 1.0)[:, 0] for m in (low, high, advice.m)}  # type: ignore[arg-type]
    for end in (low, high):
        behind = score[advice.m] - score[end]
        assert behind.mean() / stats.sem(behind) == pytest.approx(stats.t.ppf(0.975, 23), rel=0.2)
    wide = from_pairs(curve, aim="answer", level=0.999).m_interval
    assert wide is not None
    assert wide.low < low < high < wide.high
    many = from_pairs(planted(240, m=curve.preference.m), aim="answer").m_interval
    assert many is not None
    assert many.high - many.low < 0.6 * (high - low)


def test_a_concept_of_one_pair_leaves_no_interval_of_m() -> None:
    advice = from_pairs(concepts(planted(9), [0] * 8 + [1]))
    assert advice.m is not None
    assert (advice.m_interval, advice.method) == (None, None)
    assert advice.gain_interval is not None, "of the gain there is one: all pairs as one group"


def refused(advice: Recommendation, because: str) -> None:
    assert advice.m is None
    assert advice.reason.startswith("no usable m: ")
    assert because in advice.reason


def test_no_usable_m_says_why() -> None:
    pref, util = planted_pairs(M)
    refused(from_pairs(sweep_curve(pref * 0.0, util * 0.0 - M**2)), "no m makes the wanted answers likelier than m = 0")
    halves = np.where(np.arange(len(pref))[:, None] % 2, pref - pref[:, [20]], 0.8 * (pref[:, [20]] - pref))
    refused(
        from_pairs(sweep_curve(halves, util), aim="answer"),
        "with this mean and variance about 130 pairs would make it significant (there are 24), or a confidence level "
        "of 0.61",
    )
    assert from_pairs(sweep_curve(pref, util)).m is not None, "control"
    easier = np.broadcast_to(-((M - 10.0) ** 2), util.shape)
    lower = sweep_curve(-0.01 * np.abs(M) + 0 * pref, easier)
    refused(from_pairs(lower, aim="answer"), "the mean preference is no higher there than at m = 0")
    refused(from_pairs(lower), "no m makes the wanted answers likelier than m = 0")
    right = M > 0
    refused(from_pairs(sweep_curve(pref[:, right], util[:, right], M[right])), "without m = 0")
    zero = M == 0
    refused(from_pairs(sweep_curve(pref[:, zero], util[:, zero], M[zero])), "a single m")


def test_few_pairs_must_agree() -> None:
    pref, util = planted_pairs(M)
    refused(from_pairs(sweep_curve(pref[:5], util[:5])), "5 pairs are too few for a paired test: sweep at least 6")
    assert from_pairs(sweep_curve(pref[:6], util[:6])).m is not None


def test_a_gain_that_a_few_pairs_make_is_refused() -> None:
    rates = np.array([0.1] * 22 + [40.0, -18.0])
    easier = np.broadcast_to(-((M - 10.0) ** 2), (24, len(M)))
    advice = from_pairs(sweep_curve(rates[:, None] * M, easier), aim="answer")
    refused(advice, "which is not significant; both answers may have become likelier by their shared style alone")
    assert from_pairs(sweep_curve(0.0 * rates[:, None] + 0.1 * M, easier)).helped == (24, 24), "control"


def test_a_zero_that_is_rounding_error_is_zero() -> None:
    m = np.arange(-1.0, 1.01, 0.1)
    assert 0.0 not in m, "control"
    pref, util = np.tile(0.5 * m, (8, 1)), np.tile(-60.0 * np.abs(m), (8, 1))
    refused(from_pairs(sweep_curve(pref, util, m)), "no m makes the wanted answers likelier than m = 0")


def test_gain_and_cost_are_measured_on_the_pairs_whatever_chose_m() -> None:
    """A fit that is off at m = 0 by nats says nothing of what m gains there."""
    pref, util = planted_pairs(M)
    curve = sweep_curve(pref, util)
    (item,) = fit_sweep([curve])
    assert item.utility is not None
    off = fit_sweep([sweep_curve(pref, util - 8.0 * np.exp(-(M**2)))])[0].utility
    assert off is not None
    assert abs(float(off(np.zeros(1))[0]) - float(util[:, 20].mean())) > 2.0, "control: the fit is off"
    advice = recommend(replace(item, utility=off), budget=Budget(None, 6.0))
    assert advice.m is not None
    at = planted_pairs(np.array([0.0, advice.m]))
    assert advice.gain == pytest.approx(float((at[0][:, 1] - at[0][:, 0]).mean()), abs=0.05)
    assert advice.paid == pytest.approx(float((at[1][:, 0] - at[1][:, 1]).mean()), abs=0.05)
    assert advice.helped == (24, 24)


def test_pairs_without_utility_are_left_out() -> None:
    pref, util = planted_pairs(M)
    whole = sweep_curve(pref, util)
    kept = np.arange(3, 24, dtype=np.int64)
    part = PairOdds(M, util[kept], np.zeros(21, dtype=np.int64), True)
    advice = from_pairs(replace(whole, utility=part, kept=kept, excluded=("0", "1", "2")))
    assert advice.m == pytest.approx(from_pairs(sweep_curve(pref[kept], util[kept])).m, rel=1e-12)
    assert advice.helped == (21, 21)
    with pytest.raises(DataError, match="utility is undefined for all"):
        from_pairs(replace(whole, utility=None))


def test_the_end_of_the_sweep_is_said() -> None:
    near = np.linspace(-1.0, 1.0, 21)
    advice = from_pairs(planted(m=near), aim="answer")
    assert advice.at_edge
    assert "wider sweep" in advice.reason
    assert not from_pairs(planted()).at_edge


def test_recommend_reads_pairs_and_stands_on_curves_without_them() -> None:
    (item,) = fit_sweep([planted()])
    assert recommend(item) == from_pairs(item.curve)
    unfitted = SweepFit(item.curve, None, None, ("no fit",))
    assert recommend(unfitted) == from_pairs(item.curve), "needs no fit"
    refused(recommend(unfitted, aim="preference"), "no fit")
    bare = replace(item.curve.preference, has_pairs=False)
    assert item.preference is not None
    assert item.utility is not None
    on_means = recommend(replace(item, curve=replace(item.curve, preference=bare)))
    assert on_means == from_curves(item.preference, item.utility, aim="capped")
    assert on_means.helped is None


def test_whoever_names_a_budget_wants_what_it_buys() -> None:
    (item,) = fit_sweep([planted()])
    assert recommend(item, budget=Budget()) == recommend(item, aim="preference")
    assert "limited by the utility budget" in recommend(item, budget=Budget(None, 2.0)).reason
    assert recommend(item, aim="answer", budget=Budget()) == from_pairs(item.curve, aim="answer", budget=Budget())
    assert len({recommend(item).m, recommend(item, budget=Budget()).m}) == 2, "control"


def test_a_gain_that_only_the_fit_sees_is_refused() -> None:
    (item,) = fit_sweep([planted()])
    (other,) = fit_sweep([sweep_curve(-item.curve.preference.values, item.curve.table("utility").values)])
    refused(
        recommend(replace(item, preference=other.preference), aim="preference"),
        "preference over pairs is no higher there",
    )
    assert recommend(item, aim="preference").m is not None, "control"


def test_what_is_asked_for_is_checked_wherever_one_enters() -> None:
    (item,) = fit_sweep([planted()])
    ways = (
        lambda **wish: recommend(item, **wish),
        lambda **wish: recommend(item, aim="preference", **wish),
        lambda **wish: from_pairs(item.curve, **wish),
    )
    for way in ways:
        for level in (0.0, 1.0, 95.0, float("nan")):
            with pytest.raises(ConfigError, match="it must lie between 0 and 1"):
                way(level=level)
    for function, given in ((from_pairs, (item.curve,)), (from_curves, (item.preference, item.utility))):
        with pytest.raises(ConfigError, match="'raise' or 'lower'"):
            inspect.unwrap(function)(*given, direction="up")
