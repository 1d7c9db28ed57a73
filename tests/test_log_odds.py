"""Log-odds against 80-digit arithmetic: far tails, near certainty, and where utility does not exist."""

from __future__ import annotations

import itertools

import mpmath  # type: ignore[import-untyped]
import numpy as np
import pytest

from easyedit_split.log_odds import (
    NON_FINITE,
    OK,
    UTILITY_UNDEFINED,
    credit,
    log1mexp,
    losses,
    odds_of_mean,
    preference,
    status,
    utility,
)
from easyedit_split.types import FloatArray, Scores

EPS = float(np.finfo(np.float64).eps)
LOSSES = (
    1e-300,
    1e-12,
    1e-8,
    1e-3,
    0.1,
    0.6,
    0.69,
    0.7,
    1.0,
    2.0,
    5.0,
    20.0,
    36.7,
    37.5,
    250.0,
    300.0,
    709.0,
    800.0,
    1e5,
)


def array(*values: float) -> FloatArray:
    return np.array(values, dtype=np.float64)


def exact_utility(L_p: float, L_n: float) -> tuple[float, float] | None:
    """``(UtilOdds, log of the mass)`` in 80 digits and more, straight from Eq. 8; None where it is undefined."""
    with mpmath.workdps(80 + int(max(L_p, L_n) * 0.44)):
        mass = mpmath.e ** -mpmath.mpf(L_p) + mpmath.e ** -mpmath.mpf(L_n)
        if mass >= 1:
            return None
        return float(mpmath.log(mass / (1 - mass))), float(mpmath.log(mass))


def naive_utility(L_p: float, L_n: float) -> float:
    with np.errstate(all="ignore"):
        mass = np.exp(-L_p) + np.exp(-L_n)
        return float(np.log(mass) - np.log(1 - mass))


@pytest.mark.parametrize(("L_p", "L_n"), [pair for pair in itertools.product(LOSSES, LOSSES) if max(pair) < 1e4])
def test_utility_equals_eq_8(L_p: float, L_n: float) -> None:
    ours, exact = float(utility(array(L_p), array(L_n))[0]), exact_utility(L_p, L_n)
    if exact is None:
        assert np.isnan(ours)
        assert status(array(L_p), array(L_n))[0] == UTILITY_UNDEFINED
        return
    value, log_mass = exact
    conditioning = min(L_p, L_n) / abs(log_mass)  # what one ulp of a loss does to log(1 - mass)
    assert ours == pytest.approx(value, rel=0, abs=8 * EPS * (1 + abs(value) + conditioning))
    assert status(array(L_p), array(L_n))[0] == OK


@pytest.mark.parametrize(("L_p", "L_n"), [(1e-8, 20.0), (1e-12, 30.0), (800.0, 801.0)])
def test_control_the_naive_formula_fails_there(L_p: float, L_n: float) -> None:
    exact = exact_utility(L_p, L_n)
    assert exact is not None
    assert not abs(naive_utility(L_p, L_n) - exact[0]) < 1e-10  # NaN counts
    assert utility(array(L_p), array(L_n))[0] == pytest.approx(exact[0], rel=1e-14)
    assert naive_utility(0.5, 3.0) == pytest.approx(utility(array(0.5), array(3.0))[0])


def test_far_tails_stay_finite() -> None:
    values = utility(array(1e5, 250.0, 1e300), array(1e5, 300.0, 1e300))
    assert np.isfinite(values).all()
    assert values[0] == pytest.approx(-1e5 + np.log(2), rel=1e-15)


def test_utility_is_symmetric_and_preference_is_not() -> None:
    L_p, L_n = array(0.3, 5.0, 40.0), array(4.0, 0.2, 41.5)
    np.testing.assert_array_equal(utility(L_p, L_n), utility(L_n, L_p))
    np.testing.assert_array_equal(preference(L_p, L_n), -preference(L_n, L_p))
    assert (preference(L_p, L_n) != preference(L_n, L_p)).all()


def test_preference_is_the_log_odds_of_the_two_answers() -> None:
    L_p, L_n = 1.25, 3.5
    share = np.exp(-L_p) / (np.exp(-L_p) + np.exp(-L_n))
    assert preference(array(L_p), array(L_n))[0] == pytest.approx(np.log(share / (1 - share)), rel=1e-14)
    assert preference(array(L_p), array(L_n))[0] == 2.25


@pytest.mark.parametrize(("L_p", "L_n"), [(0.5, 0.5), (float(np.log(2)), float(np.log(2))), (0.0, 50.0), (0.0, 0.0)])
def test_a_mass_of_one_or_more_has_no_utility(L_p: float, L_n: float) -> None:
    assert np.isnan(utility(array(L_p), array(L_n))[0])
    assert status(array(L_p), array(L_n))[0] == UTILITY_UNDEFINED
    assert np.isfinite(preference(array(L_p), array(L_n))[0])


def test_control_just_below_one_it_is_defined() -> None:
    assert status(array(0.6932), array(0.6932))[0] == OK
    assert utility(array(0.6932), array(0.6932))[0] > 5


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_a_loss_that_is_not_finite_is_said_and_utility_is_nan(bad: float) -> None:
    for L_p, L_n in ((bad, 3.0), (3.0, bad), (bad, bad)):
        assert status(array(L_p, 3.0), array(L_n, 4.0)).tolist() == [NON_FINITE, OK]
        util = utility(array(L_p, 3.0), array(L_n, 4.0))
        assert np.isnan(util[0])
        assert np.isfinite(util[1])
        preference(array(L_p), array(L_n))  # warns of nothing


def test_utility_is_nan_exactly_where_the_status_is_not_ok() -> None:
    values = array(*LOSSES, np.inf, np.nan)
    L_p, L_n = (a.ravel() for a in np.meshgrid(values, values))
    np.testing.assert_array_equal(np.isnan(utility(L_p, L_n)), status(L_p, L_n) != OK)


def test_log1mexp_on_both_branches() -> None:
    for a in (1e-300, 1e-9, 0.5, float(np.log(2)), 0.7, 5.0, 40.0):
        exact = float(mpmath.log(-mpmath.expm1(-mpmath.mpf(a))))
        assert log1mexp(array(a))[0] == pytest.approx(exact, rel=4 * EPS)
    assert log1mexp(array(0.0))[0] == -np.inf


def scores() -> Scores:
    return Scores(L_p=array(4.0, 9.0), L_n=array(6.0, 3.0), T_p=np.array([2, 3]), T_n=np.array([3, 1]))


def test_summed_losses_or_means_per_token() -> None:
    np.testing.assert_array_equal(losses(scores())[0], [4.0, 9.0])
    L_p, L_n = losses(scores(), "mean")
    np.testing.assert_array_equal(L_p, [2.0, 3.0])
    np.testing.assert_array_equal(L_n, [2.0, 3.0])


def test_odds_of_the_mean_losses() -> None:
    pref, util = odds_of_mean(*losses(scores()))
    assert pref == 4.5 - 6.5
    assert util == utility(array(6.5), array(4.5))[0]
    assert util != pytest.approx(np.mean(utility(*losses(scores()))))  # the mean of the odds is another number


def test_a_tie_counts_half_and_what_is_undefined_stays_undefined() -> None:
    pref = array(3.0, -3.0, 0.0, -0.0, 0.05, -0.05, np.inf, -np.inf, np.nan)
    assert np.array_equal(credit(pref), array(1, 0, 0.5, 0.5, 1, 0, 1, 0, np.nan), equal_nan=True)
    assert np.array_equal(credit(pref, even=0.05), array(1, 0, 0.5, 0.5, 0.5, 0.5, 1, 0, np.nan), equal_nan=True)
    assert credit(pref.reshape(3, 3)).shape == (3, 3)


def test_accuracy_and_its_mirror_image_sum_to_one() -> None:
    pref = np.round(np.random.default_rng(0).normal(size=1000), 1)
    assert (pref == 0).any(), "ties are among them"
    assert credit(pref).mean() + credit(-pref).mean() == pytest.approx(1.0, abs=1e-12)
    assert (pref > 0).mean() + (-pref > 0).mean() < 1.0, "control: ties counted as wrong"
