"""Intervals of slopes, breakdown m and borders: they grow with scatter and exist where the number does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from easyedit_split.analysis import Interval, fit_curve, region_intervals, regions_of, spread_of
from easyedit_split.analysis.fit.curves import CurveParams, preference_curve, utility_curve
from easyedit_split.analysis.fit.fit_curve import CurveFit
from easyedit_split.analysis.uncertainty.region_intervals import RegionIntervals
from easyedit_split.analysis.uncertainty.spread import Method, Spread
from easyedit_split.types import ConfigError, FloatArray
from tests.analysis.planted import PREF, UTIL, pair_rows, sweep_curve

WIDE = np.linspace(-80.0, 80.0, 81)


def made(
    scatter: float, method: Method = "sandwich", params: CurveParams = PREF, m: FloatArray = WIDE, pairs: int = 24
) -> tuple[CurveFit, Spread]:
    rng = np.random.default_rng(0)
    curve = sweep_curve(
        *(pair_rows(f, rng, pairs, scatter) for f in (preference_curve(m, params), utility_curve(m, UTIL))), m
    )
    fit = fit_curve(m, curve.preference.mean, "preference")
    return fit, spread_of(curve, fit, None, method=method, replicates=100)


def numbers(fit: CurveFit) -> dict[str, float | None]:
    found = regions_of(fit)
    assert found.plus is not None
    assert found.minus is not None
    out: dict[str, float | None] = {"slope_left": found.slope_left, "slope_right": found.slope_right}
    for name, side in (("plus", found.plus), ("minus", found.minus)):
        for part in ("linear_end", "convergence_start", "breakdown"):
            out[f"{name} {part}"] = getattr(side, part)
    return out


def intervals(found: RegionIntervals) -> dict[str, Interval | None]:
    out: dict[str, Interval | None] = {"slope_left": found.slope_left, "slope_right": found.slope_right}
    for name, side in (("plus", found.plus), ("minus", found.minus)):
        for part in ("linear_end", "convergence_start", "breakdown"):
            out[f"{name} {part}"] = getattr(side, part)
    return out


@pytest.mark.parametrize("method", ["sandwich", "bootstrap", "residual"])
def test_every_number_lies_in_its_interval_and_without_scatter_is_its_interval(method: Method) -> None:
    loose, tight = made(0.3, method), made(1e-7, method)
    narrow = intervals(region_intervals(*tight))
    for name, interval in intervals(region_intervals(*loose)).items():
        value, same = numbers(loose[0])[name], narrow[name]
        assert value is not None
        assert interval is not None
        assert same is not None
        assert interval.low <= value <= interval.high, name
        assert interval.high - interval.low > 1e-4, name
        assert interval.level == 0.95
        assert (same.low, same.high) == pytest.approx([numbers(tight[0])[name]] * 2, rel=1e-4, abs=0.05), name


def test_four_times_the_pairs_halve_the_intervals() -> None:
    few, many = (intervals(region_intervals(*made(0.3, pairs=n))) for n in (24, 384))
    ratios = []
    for name, interval in few.items():
        other = many[name]
        assert interval is not None
        assert other is not None
        ratios.append((interval.high - interval.low) / (other.high - other.low))
    assert np.median(ratios) == pytest.approx(4.0, rel=0.3)


def test_what_the_fit_does_not_have_has_no_interval() -> None:
    straight = replace(PREF, L_plus=1e9, L_minus=1e9, m_plus=0.0, m_minus=0.0)
    fit, varied = made(1e-4, params=straight)
    found = region_intervals(fit, varied)
    assert found.plus is not None
    assert (found.plus.linear_end, found.plus.convergence_start) == (None, None)
    assert found.slope_right is not None
    m = np.linspace(0.0, 80.0, 61)
    one = region_intervals(*made(0.1, m=m))
    assert (one.minus, one.slope_left) == (None, None)
    assert one.plus is not None
    assert one.plus.breakdown is not None


def test_versions_without_a_border_count_with_the_end_of_the_sweep() -> None:
    """Swept just beyond the end of the linear region, some versions have none: the interval ends with the sweep."""
    end = regions_of(made(1e-7)[0]).plus
    assert end is not None
    assert end.linear_end is not None
    m = np.linspace(-10.0, 1.15 * end.linear_end, 61)
    found = region_intervals(*made(1.0, m=m)).plus
    assert found is not None
    assert found.linear_end is not None
    assert found.linear_end.high == pytest.approx(1.15 * end.linear_end, rel=1e-12)


def test_a_spread_of_another_curve_is_refused() -> None:
    fit, varied = made(0.3)
    util = fit_curve(WIDE, utility_curve(WIDE, UTIL), "utility")
    with pytest.raises(ConfigError, match="without the utility fit"):
        region_intervals(util, varied)
    assert region_intervals(fit, varied).method == "sandwich"
