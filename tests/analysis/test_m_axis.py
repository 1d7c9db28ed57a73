"""The m axis: asinh where most points crowd at 0, in units of r above it, and linear unless told otherwise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from easyedit_split.analysis import Collateral, SweepFit, curves_of
from easyedit_split.analysis.figures.m_axis import FINE, fine, m_scale
from easyedit_split.analysis.figures.plots import Drawn, plot_sweep
from easyedit_split.analysis.figures.style import check_scale
from easyedit_split.types import ConfigError

NEAR = np.array([0.05, 0.1, 0.2, 0.3, 0.4, 0.8, 4.0, 20.0])
CROWDED = np.concatenate([-NEAR[::-1], [0.0], NEAR])
EVEN = np.linspace(-20.0, 20.0, 17)
PER_M = 0.5


def drawn(m: np.ndarray) -> Drawn:
    rows = [{"pair": k, "form": "vector", "m1": x, "pref": np.tanh(x), "util": -abs(x)} for k in range(3) for x in m]
    (curve,) = curves_of(pd.DataFrame(rows))
    return Drawn(SweepFit(replace(curve, r_per_m=PER_M), None, None, ()))


def test_auto_is_asinh_where_most_points_crowd_at_zero() -> None:
    assert m_scale("auto", [CROWDED]) == "asinh"
    assert m_scale("auto", [EVEN]) == "linear"
    assert m_scale("linear", [CROWDED]) == "linear"
    assert m_scale("asinh", [EVEN]) == "asinh"
    assert m_scale("asinh", [np.zeros(1)]) == "linear", "with no m but 0 there is nothing to spread"
    with pytest.raises(ConfigError, match="no scale 'log': write linear, asinh or auto"):
        check_scale("log")


def test_every_panel_and_the_axis_of_r_have_the_same_places() -> None:
    effects = Collateral(np.array([0.2, 0.4]), np.array([0.1, 1.9]))
    figure = plot_sweep([replace(drawn(CROWDED), collateral=effects)], scale="auto")
    figure.draw_without_rendering()
    upper, lower, kl, in_r = figure.axes
    assert in_r.get_xlabel() == "r = |m dh| / |h|"
    assert kl.get_xlabel() == "steering factor m (asinh scale)"
    for m in (*CROWDED, 7.0):
        places = [ax.transData.transform((m, 0.0))[0] for ax in (upper, lower, kl)]
        assert [*places, in_r.transData.transform((PER_M * m, 0.0))[0]] == pytest.approx([places[0]] * 4)
    gaps = np.diff([upper.transData.transform((m, 0.0))[0] for m in CROWDED])
    assert gaps.min() > 0.02 * upper.get_window_extent().width, "points can be told apart"
    for ax in (kl, in_r):
        assert 0.0 in ax.get_xticks()
        assert [label.get_text() for label in ax.get_xticklabels()] == [f"{tick:g}" for tick in ax.get_xticks()]


def test_control_on_a_linear_axis_they_cannot_be_told_apart() -> None:
    figure = plot_sweep([drawn(CROWDED)])
    figure.draw_without_rendering()
    upper = figure.axes[0]
    gaps = np.diff([upper.transData.transform((m, 0.0))[0] for m in CROWDED])
    assert gaps.min() < 0.002 * upper.get_window_extent().width
    assert figure.axes[1].get_xlabel() == "steering factor m"


@pytest.mark.parametrize("scale", ["linear", "asinh"])
def test_curves_are_drawn_through_all_points_evenly_on_their_axis(scale: str) -> None:
    upper = plot_sweep([drawn(CROWDED)], scale=scale).axes[0]  # type: ignore[arg-type]
    m = fine(upper, CROWDED)
    assert {*CROWDED} <= {*m}
    assert (m[0], m[-1]) == (CROWDED[0], CROWDED[-1])
    steps = np.diff([upper.transData.transform((x, 0.0))[0] for x in m])
    assert steps.max() < 1.01 * steps.sum() / (FINE - 1)


def test_a_panel_with_no_m_but_zero_stays_linear_beside_an_asinh_one() -> None:
    only_zero = drawn(np.zeros(1))
    other = replace(only_zero.fit.curve, key=replace(only_zero.fit.curve.key, form="lora"))
    figure = plot_sweep([drawn(CROWDED), Drawn(replace(only_zero.fit, curve=other))], scale="asinh")
    figure.draw_without_rendering()
    assert {ax.get_xscale() for ax in figure.axes} == {"asinh", "linear"}


def test_an_m_next_to_zero_does_not_take_the_axis() -> None:
    figure = plot_sweep([drawn(np.union1d(CROWDED, [-1e-9, 1e-9]))], scale="asinh")
    figure.draw_without_rendering()
    bottom = figure.axes[1]
    assert len(bottom.get_xticks()) < 12
    left, right = (bottom.transData.transform((m, 0.0))[0] for m in (0.05, 20.0))
    assert right - left > 0.3 * bottom.get_window_extent().width


@pytest.mark.parametrize("overlay", [False, True])
def test_the_label_of_the_axis_stands_once_a_column(overlay: bool) -> None:
    item = drawn(EVEN)
    keys = [replace(item.fit.curve.key, model=name, form=form) for name in ("a", "b") for form in ("vector", "lora")]
    curves = [replace(item.fit.curve, key=key) for key in keys]
    figure = plot_sweep([Drawn(replace(item.fit, curve=curve)) for curve in curves], overlay=overlay)
    assert [ax.get_xlabel() for ax in figure.axes].count("steering factor m") == 2, "one a form"
