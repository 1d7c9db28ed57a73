"""The grid of a second sweep: where utility is near its best, and only where the first one looked too coarsely."""

from __future__ import annotations

import numpy as np
import pytest

from easyedit_split.analysis import closer_grid, near_range
from easyedit_split.config import parse_grid
from easyedit_split.types import DataError, FloatArray


def utility(m: FloatArray) -> FloatArray:
    """Falls by m^2 nats on the right, by 4 m^2 on the left."""
    return np.where(m >= 0, -(m**2), -4 * m**2) - 3.0


def test_the_range_is_where_utility_is_within_so_many_nats() -> None:
    m = np.linspace(-20.0, 20.0, 401)
    low, high = near_range(m, utility(m), within=9.0)
    assert (low, high) == pytest.approx((-1.5, 3.0), abs=0.1)
    wider = near_range(m, utility(m), within=36.0)
    assert wider == pytest.approx((-3.0, 6.0), abs=0.1)


def test_a_coarse_sweep_is_told_to_look_closer_and_a_fine_one_is_not() -> None:
    coarse, fine = np.linspace(-20.0, 20.0, 41), np.linspace(-20.0, 20.0, 401)
    grid = closer_grid(coarse, utility(coarse))
    assert grid is not None
    points = parse_grid(grid, "--m")
    assert len(points) == 31
    assert -3.0 < min(points) < -2.7
    assert 5.4 < max(points) < 6.0
    assert closer_grid(fine, utility(fine)) is None


def test_the_range_keeps_zero_and_stays_inside_the_sweep() -> None:
    m = np.linspace(0.0, 2.0, 5)
    assert near_range(m, -((m - 2.0) ** 2), within=0.5) == (0.0, 2.0)
    assert near_range(m, np.zeros(5)) == (0.0, 2.0)


def test_one_point_is_refused() -> None:
    with pytest.raises(DataError, match="at least two"):
        near_range(np.zeros(1), np.zeros(1))
