"""At equal cost: the budget is met, better curves gain more, and one against itself differs by nothing."""

from __future__ import annotations

import numpy as np
import pytest

from easyedit_split.analysis.iso_cost import Costed, EqualCost
from easyedit_split.types import DataError, FloatArray

M = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
CONCEPTS = np.array([0] * 6 + [1] * 6)


def costed(slope: float = 1.0, dear: float = 1.0, seed: int = 0, shift: float = 0.0) -> Costed:
    """Gains ``slope m``, costs ``dear (m - shift)``: with a shift, cheaper than nothing at first."""
    noise = np.random.default_rng(seed).normal(scale=0.1, size=(12, 1))
    gain: FloatArray = (slope + noise) * M
    cost = dear * (np.maximum(M - shift, 0) - np.minimum(M, shift)) * np.ones((12, 1))
    return Costed(M, gain, cost, CONCEPTS)


def test_the_cost_is_met_between_swept_m() -> None:
    found = EqualCost({"a": costed(dear=2.0)}, 3.0).of("a")
    assert found.m == pytest.approx(1.5)
    assert not found.at_end
    assert found.gain == pytest.approx(1.5, abs=0.2)


def test_what_costs_less_goes_further_and_gains_more() -> None:
    equal = EqualCost({"cheap": costed(dear=0.5), "dear": costed(dear=2.0)}, 1.0)
    difference, interval = equal.difference("cheap", "dear")
    assert difference == pytest.approx(1.5, abs=0.2)
    assert interval is not None
    assert interval.low > 0


def test_control_one_against_itself_differs_by_nothing() -> None:
    equal = EqualCost({"a": costed(), "b": costed()}, 1.0)
    difference, interval = equal.difference("a", "b")
    assert difference == 0
    assert interval is not None
    assert interval.low == interval.high == 0


def test_pairing_is_worth_something() -> None:
    """The scatter that both share is not in their difference."""
    equal = EqualCost({"a": costed(slope=1.0), "b": costed(slope=1.2)}, 1.0)
    _, paired = equal.difference("a", "b")
    alone = equal.of("a").interval
    assert paired is not None
    assert alone is not None
    assert paired.high - paired.low < 0.1 * (alone.high - alone.low)


def test_utility_that_rises_first_is_paid_where_it_has_fallen_back() -> None:
    assert EqualCost({"a": costed(shift=1.0)}, 0.0).of("a").m == pytest.approx(2.0)


def test_nothing_is_gained_for_nothing_where_every_m_costs() -> None:
    found = EqualCost({"a": costed()}, 0.0).of("a")
    assert (found.m, found.gain) == (0.0, 0.0)


def test_a_sweep_that_ends_within_the_budget_says_so() -> None:
    found = EqualCost({"a": costed()}, 100.0).of("a")
    assert found.at_end
    assert found.m == 4.0


def test_a_cost_that_is_not_of_the_pairs_has_one_m_in_all_draws() -> None:
    one = costed()
    equal = EqualCost({"a": Costed(M, np.ones((12, 5)) * M, M, CONCEPTS)}, 1.5)
    assert np.ptp(equal.samples("a")) == pytest.approx(0.0, abs=1e-12)
    assert np.ptp(EqualCost({"a": one}, 1.5).samples("a")) > 0.01


def test_concepts_count_alike() -> None:
    gain = np.where(np.arange(12)[:, None] < 2, 10.0, 0.0) * (M > 0)
    uneven = np.array([0] * 2 + [1] * 10)
    found = EqualCost({"a": Costed(M, gain, np.zeros((12, 5)), uneven)}, 1.0).of("a")
    assert found.gain == pytest.approx(5.0)


def test_other_pairs_and_other_m_are_refused() -> None:
    with pytest.raises(DataError, match="same pairs"):
        EqualCost({"a": costed(), "b": Costed(M, np.zeros((2, 5)), M, np.array([0, 0]))}, 1.0)
    with pytest.raises(DataError, match="m = 0"):
        Costed(M[1:], np.zeros((2, 4)), M[1:], np.array([0, 0]))
