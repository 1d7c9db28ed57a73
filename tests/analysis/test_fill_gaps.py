"""Gaps are halved where a planted curve is uncertain: half of an even grid's points, for the same error."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.interpolate import Akima1DInterpolator

from easyedit_split.analysis.fill_gaps import FillGaps, expected_errors, gaps_to_halve
from easyedit_split.analysis.fit.curves import CurveParams, preference_curve, utility_curve
from easyedit_split.analysis.grow import next_points
from easyedit_split.steering.strength_grid import AUTO, parse_strengths
from easyedit_split.sweep_curves import curves_of
from easyedit_split.types import FloatArray

from .planted import continuous

SHARP = (
    continuous(CurveParams(40.0, 2.0, -1.0, 0.02, 0.006, 0.4, -0.02, 0.006, 0.4)),
    continuous(CurveParams(0.0, 90.0, -120.0, 0.01, 0.006, 0.3, -0.01, 0.006, 0.3)),
)
BROAD = (
    continuous(CurveParams(8.0, 1.0, -1.0, 0.5, 30.0, 4.0, -0.5, 30.0, 4.0)),
    continuous(CurveParams(0.0, 20.0, -30.0, 0.5, 30.0, 9.0, -0.5, 30.0, 9.0)),
)
START = np.array(parse_strengths(AUTO).values)
"""As m: r is m here."""


def swept(m: FloatArray, curves: tuple[CurveParams, CurveParams], shift: float = 2.0) -> pd.DataFrame:
    """Three pairs whose means follow the planted curves."""
    pref, util = preference_curve(m, curves[0]), utility_curve(m, curves[1])
    parts = [
        pd.DataFrame({"m1": m, "m2": m, "pair": pair, "pref": pref + by, "util": util + by})
        for pair, by in enumerate((-shift, 0.0, shift))
    ]
    return pd.concat(parts, ignore_index=True)


def auto(curves: tuple[CurveParams, CurveParams], fills: bool = True) -> FloatArray:
    rule, m = next_points(tuple(START), grows=True, refine=False), START
    while points := rule(swept(m, curves)):
        more = np.union1d(m, [point[0] for point in points])
        if not fills and m[0] <= more.min() and more.max() <= m[-1]:
            break
        m = more
    return m


def error(m: FloatArray, curves: tuple[CurveParams, CurveParams]) -> float:
    """Largest of both curves, as a share of each one's range."""
    fine, found = np.linspace(m[0], m[-1], 4001), []
    for function, params in zip((preference_curve, utility_curve), curves, strict=True):
        wanted = function(fine, params)
        read = Akima1DInterpolator(m, function(m, params), method="makima")(fine)
        found.append(float(np.abs(read - wanted).max() / np.ptp(wanted)))
    return max(found)


def even(m: FloatArray, n: int) -> FloatArray:
    return np.union1d(np.linspace(m[0], m[-1], n), [0.0])


@pytest.mark.parametrize("curves", [SHARP, BROAD], ids=["sharp", "broad"])
def test_no_error_is_left_that_counts(curves: tuple[CurveParams, CurveParams]) -> None:
    m = auto(curves)
    assert len(m) < FillGaps().most
    assert gaps_to_halve(curves_of(swept(m, curves))[0]) == ()
    assert error(m, curves) < 0.03


def test_half_of_an_even_grids_points_do_for_the_same_error() -> None:
    m = auto(SHARP)
    assert error(m, SHARP) <= error(even(m, 2 * len(m)), SHARP)


def test_control_neither_an_even_grid_of_that_size_nor_one_that_only_grew_does() -> None:
    m, grown = auto(SHARP), auto(SHARP, fills=False)
    assert len(grown) < len(m)
    assert error(even(m, len(m)), SHARP) > 2 * error(m, SHARP)
    assert error(grown, SHARP) > 2 * error(m, SHARP)


def test_a_line_has_nothing_to_look_for() -> None:
    m = np.array([-3.0, -2.0, -0.5, 0.0, 1.0, 4.0])
    assert expected_errors(m, 2 * m + 1) == pytest.approx(np.zeros(5), abs=1e-12)
    table = swept(m, BROAD).assign(pref=lambda t: 0.001 * t.m1 - 30, util=lambda t: -0.001 * t.m1)
    assert FillGaps()(table) == ()


def test_the_expected_error_is_about_the_error() -> None:
    m = np.linspace(-3, 3, 13)
    y = np.exp(-(m**2))
    middles = (m[1:] + m[:-1]) / 2
    missed = np.abs(Akima1DInterpolator(m, y, method="makima")(middles) - np.exp(-(middles**2)))
    assert (expected_errors(m, y) >= missed).all()
    assert expected_errors(m, y).max() < 10 * missed.max()


def test_there_is_an_end_to_it() -> None:
    m = np.union1d(START, [-2.0, 2.0])
    assert FillGaps()(swept(m, SHARP))
    assert FillGaps(most=len(m))(swept(m, SHARP)) == ()
    assert len(FillGaps(most=len(m) + 1)(swept(m, SHARP))) == 1
    assert FillGaps()(swept(np.array([-1.0, 0.0, 1.0]), SHARP)) == ()
