"""A closer look: the range where utility is near its best, and further m where the wanted answers are likeliest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from easyedit_split.analysis import SweepCurve, closer_points, from_pairs, look_closer, near_range
from easyedit_split.analysis.choose_m.scored_pairs import ScoredPairs
from easyedit_split.types import DataError, FloatArray
from tests.analysis.planted import sweep_curve


def utility(m: FloatArray) -> FloatArray:
    """Falls by m^2 nats on the right, by 4 m^2 on the left."""
    return np.where(m >= 0, -(m**2), -4 * m**2) - 3.0


def test_the_range_is_where_utility_is_within_so_many_nats() -> None:
    m = np.linspace(-20.0, 20.0, 401)
    low, high = near_range(m, utility(m), within=9.0)
    assert (low, high) == pytest.approx((-1.5, 3.0), abs=0.1)
    wider = near_range(m, utility(m), within=36.0)
    assert wider == pytest.approx((-3.0, 6.0), abs=0.1)


def pairs_at(m: FloatArray, peak: float = 0.0137, width: float = 0.05) -> SweepCurve:
    """Eight pairs whose wanted answers are likeliest in a narrow range that a far sweep jumps over."""
    own = peak + 0.1 * width * np.linspace(-1, 1, 8)[:, None]
    return sweep_curve(np.tile(20 * m, (8, 1)), -1.0 - ((m - own) / width) ** 2, m)


def table_of(curve: SweepCurve) -> pd.DataFrame:
    parts = (curve.preference.values, curve.table("utility").values)
    rows = [
        (pair, m, *values)
        for pair, row in enumerate(zip(*parts, strict=True))
        for m, *values in zip(curve.preference.m, *row, strict=True)
    ]
    return pd.DataFrame(rows, columns=["pair", "m1", "pref", "util"])


def test_looking_closer_ends_and_finds_what_a_far_sweep_jumps_over() -> None:
    m = np.linspace(-20.0, 20.0, 9)
    rounds = 0
    while points := look_closer(table_of(pairs_at(m))):
        assert all(m1 == m2 for m1, m2 in points)
        further = [m1 for m1, _ in points]
        assert not set(further) & set(m.tolist())
        m, rounds = np.union1d(m, further), rounds + 1
    assert 2 <= rounds <= 6
    fine = np.linspace(-0.1, 0.2, 30_001)
    score = ScoredPairs.of(pairs_at(fine), "raise").mean_score
    far, near = (from_pairs(pairs_at(grid), aim="answer").m for grid in (np.linspace(-20.0, 20.0, 9), m))
    assert near == pytest.approx(float(fine[score.argmax()]), abs=2e-3)
    assert far is None or abs(far - fine[score.argmax()]) > 0.1, "control"


def test_looking_closer_ends_at_a_cliff() -> None:
    """Where the score jumps, no neighbour ever scores within 0.01 nats: the distance to it ends the search."""

    def broken_off(m: FloatArray) -> SweepCurve:
        util = np.where(m <= 1.2345, np.minimum(0.0, m - 1.2345), -500.0)
        return sweep_curve(np.tile(20 * m, (8, 1)), np.tile(util, (8, 1)), m)

    m, rounds = np.linspace(-20.0, 20.0, 9), 0
    while (points := closer_points(broken_off(m))) and rounds < 20:
        m, rounds = np.union1d(m, points), rounds + 1
    assert points == ()
    assert 5 <= rounds <= 10
    assert 0 <= 1.2345 - m[m <= 1.2345].max() < 1e-3


def test_a_sweep_that_is_close_enough_is_left_alone() -> None:
    fine = np.linspace(-0.1, 0.2, 301)
    assert closer_points(pairs_at(fine)) == ()
    assert closer_points(pairs_at(fine[::20])) != ()


def test_the_ends_of_a_sweep_have_one_side() -> None:
    points = closer_points(pairs_at(np.linspace(-4.0, 2.0, 4), peak=5.0, width=1.0))
    assert len(points) == 4
    assert all(0.0 < m < 2.0 for m in points)


def test_the_unwanted_answers_are_looked_for_elsewhere() -> None:
    m = np.linspace(-4.0, 4.0, 9)
    curve = sweep_curve(np.tile(3 * m, (8, 1)), np.tile(-np.abs(m), (8, 1)), m)
    up, down = closer_points(curve), closer_points(curve, "lower")
    assert sorted(-x for x in down) == pytest.approx(list(up))


def test_the_range_keeps_zero_and_stays_inside_the_sweep() -> None:
    m = np.linspace(0.0, 2.0, 5)
    assert near_range(m, -((m - 2.0) ** 2), within=0.5) == (0.0, 2.0)
    assert near_range(m, np.zeros(5)) == (0.0, 2.0)


def test_one_point_is_refused() -> None:
    with pytest.raises(DataError, match="at least two"):
        near_range(np.zeros(1), np.zeros(1))


def test_what_cannot_be_looked_at_is_left_alone() -> None:
    assert closer_points(pairs_at(np.zeros(1))) == ()
    assert closer_points(replace(pairs_at(np.linspace(-4.0, 2.0, 4)), utility=None)) == ()


def test_m2_goes_its_own_straight_way() -> None:
    table = table_of(pairs_at(np.linspace(-20.0, 20.0, 9)))
    points = look_closer(table.assign(m2=-0.5 * table["m1"]))
    assert points
    assert all(m2 == pytest.approx(-0.5 * m1) for m1, m2 in points)
    assert tuple(m1 for m1, _ in points) == tuple(m1 for m1, _ in look_closer(table))
