"""Grids as users write them: plain m stay as they were, r grow by one factor and become m by what was measured."""

from __future__ import annotations

import itertools

import pytest

from easyedit_split.config import parse_grid
from easyedit_split.steering.strength_grid import StrengthGrid, growing, parse_strengths
from easyedit_split.types import ConfigError


@pytest.mark.parametrize("text", ["-20:20:41", "-4,0,4", "1"])
def test_a_grid_without_a_unit_is_in_m_and_read_as_ever(text: str) -> None:
    grid = parse_strengths(text)
    assert grid == StrengthGrid(parse_grid(text), "m")
    assert grid.in_m(0.37) == grid.values  # what m does is no matter where m is what was asked for


def test_a_grid_in_r_grows_by_one_factor_and_keeps_zero_and_both_ends() -> None:
    values = parse_strengths("r:0.05:4:17").values
    assert len(values) == 18
    assert (values[0], values[1], values[-1]) == (0.0, 0.05, 4.0)
    ratios = [b / a for a, b in itertools.pairwise(values[1:])]
    assert max(ratios) - min(ratios) < 1e-4
    assert not max(b - a for a, b in itertools.pairwise(values)) < 0.5  # it is not an even grid


def test_a_mirrored_grid_is_even_in_r() -> None:
    values = parse_strengths("r:+-0.1:0.8:4").values
    assert values == tuple(sorted(values))
    assert values == tuple(-value for value in reversed(values))
    assert len(values) == 9
    assert 0.0 in values


@pytest.mark.parametrize(
    ("text", "values"),
    [("r:-1:1:3", (-1.0, 0.0, 1.0)), ("r:0,0.2,0.4", (0.0, 0.2, 0.4)), ("r:0.4", (0.4,)), ("r:0.4:0.4:1", (0.0, 0.4))],
)
def test_other_grids_in_r(text: str, values: tuple[float, ...]) -> None:
    assert parse_strengths(text) == StrengthGrid(values, "r")


def test_r_becomes_m_by_what_m_1_does() -> None:
    grid = parse_strengths("r:0,0.2,-0.4")
    assert grid.in_m(0.1) == (0.0, pytest.approx(2.0), pytest.approx(-4.0))
    assert grid.in_m(0.1) != grid.in_m(0.2)


@pytest.mark.parametrize("r_per_m", [0.0, float("nan")])
def test_an_intervention_that_changes_nothing_has_no_r(r_per_m: float) -> None:
    with pytest.raises(ConfigError, match="changes nothing at m = 1"):
        parse_strengths("r:0.1:1:3").in_m(r_per_m)
    parse_strengths("1:2:3").in_m(r_per_m)


@pytest.mark.parametrize(
    "text", ["r:", "r:x", "r:0.1:1", "r:1:0.1:5", "r:0.1:1:0", "r:0.1:inf:4", "r:0.1:1:200001", "r:+-"]
)
def test_what_is_no_grid_in_r_is_refused_with_one_that_is(text: str) -> None:
    with pytest.raises(ConfigError, match=r"r:0\.05:4:17"):
        parse_strengths(text)


def test_growing_refuses_ends_that_no_factor_joins() -> None:
    assert growing(2.0, 2.0, 1) == (2.0,)
    with pytest.raises(ValueError):  # noqa: PT011
        growing(0.0, 1.0, 3)
