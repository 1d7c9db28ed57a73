"""What stands below the curves: side effects and texts; and what is drawn where the fitted form misses its points."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from easyedit_split.analysis import Collateral, curves_of, fit_sweep, recommend
from easyedit_split.analysis.figures.below import MOST_TEXTS, text_lines
from easyedit_split.analysis.figures.plots import Drawn, plot_sweep, save_figure
from easyedit_split.analysis.figures.style import LINES, MISSED_LINE
from easyedit_split.types import DataError
from tests.analysis.planted import M, sweep_table

EFFECTS = Collateral(np.array([-4.0, 2.0, 8.0]), np.array([0.2, 0.1, 0.9]))
TEXTS = pd.DataFrame(
    [{"m1": m, "prompt": p, "text": f"{p} at {m}\n$x_1$"} for p in ("How?", "Why?") for m in np.arange(-5.0, 6.0)]
)


@pytest.fixture(scope="module")
def item() -> Drawn:
    fit = fit_sweep(curves_of(sweep_table(np.random.default_rng(0), [{"form": "vector"}])))[0]
    return Drawn(fit, None, recommend(fit))


def test_side_effects_have_a_panel_with_zero_at_zero(item: Drawn) -> None:
    upper, lower, kl = plot_sweep([replace(item, collateral=EFFECTS)]).axes[:3]
    m, values = kl.lines[0].get_data()
    assert list(zip(m, values, strict=True)) == [(-4.0, 0.2), (0.0, 0.0), (2.0, 0.1), (8.0, 0.9)]
    assert kl.get_ylabel().startswith("KL divergence")
    assert kl.get_xlabel() == "steering factor m"
    assert kl.get_xlim() == upper.get_xlim() == lower.get_xlim()
    assert len(plot_sweep([item]).axes) == 2, "control: no panel where nothing was measured"


def test_side_effects_near_zero_have_an_axis_of_their_own(item: Drawn) -> None:
    near = Collateral(np.array([0.2, 2.0]), np.array([0.1, 1.9]))
    upper, lower, kl = plot_sweep([replace(item, collateral=near)]).axes[:3]
    assert upper.get_xlim() == lower.get_xlim()
    low, high = kl.get_xlim()
    assert -0.2 < low < 0.0 < 2.0 < high < 2.2, "the measured range, and little more"
    assert [ax.get_xlabel() for ax in (upper, lower, kl)] == ["", "steering factor m", "steering factor m"]
    assert [ax.xaxis.get_tick_params()["labelbottom"] for ax in (upper, lower, kl)] == [False, True, True]
    shared = plot_sweep([replace(item, collateral=EFFECTS)]).axes[:3]  # control
    assert [ax.xaxis.get_tick_params()["labelbottom"] for ax in shared] == [False, False, True]


def test_the_panel_stands_once_for_curves_of_both_kinds(item: Drawn) -> None:
    both, kl = plot_sweep([replace(item, collateral=EFFECTS)], overlay=True).axes[:2]
    assert both.get_ylabel().startswith("preference / utility")
    assert kl.get_ylabel().startswith("KL divergence")


def test_texts_of_one_prompt_stand_below_word_for_word(item: Drawn, tmp_path: Path) -> None:
    figure = plot_sweep([item], texts=TEXTS)
    lines = [text.get_text() for text in figure.axes[2].texts]
    assert lines[0] == "How?"
    assert not any("Why?" in line for line in lines)
    said = [line for line in lines if line.startswith("m = ")]
    assert len(said) <= MOST_TEXTS
    assert "m = 0: How? at 0.0 / $x_1$" in said
    taller = figure.get_figheight() - plot_sweep([item]).get_figheight()
    assert taller > 0.1 * len(lines)
    assert save_figure(figure, tmp_path / "texts.png").stat().st_size > 0  # a dollar sign is no formula


def test_long_texts_are_wrapped_and_nothing_is_lost() -> None:
    words = " ".join(f"word{k}" for k in range(60))
    lines = text_lines(pd.DataFrame({"m1": [0.0, 1.0], "prompt": "p", "text": [words, ""]}), 3.0, r_per_m=0.5)
    assert max(map(len, lines)) <= 60
    assert " ".join(line.strip() for line in lines[1:]) == f"m = 0 (r = 0): {words} m = 1 (r = 0.5): (empty)"


def test_a_table_of_something_else_is_refused() -> None:
    with pytest.raises(DataError, match="'text'"):
        text_lines(pd.DataFrame({"m1": [0.0], "prompt": ["p"]}), 3.0)
    with pytest.raises(DataError, match="no rows"):
        text_lines(TEXTS.iloc[:0], 3.0)


def test_where_the_form_misses_its_points_the_curve_follows_them(item: Drawn) -> None:
    fit = item.fit.preference
    assert fit is not None
    missing = replace(item.fit, preference=replace(fit, params=replace(fit.params, alpha=fit.params.alpha + 3.0)))
    points = item.fit.curve.preference.mean

    def curves(drawn: Drawn) -> dict[str, np.ndarray]:
        ax = plot_sweep([drawn]).axes[0]
        long = [line for line in ax.lines if len(line.get_xdata()) > len(M)]
        return {line.get_linestyle(): np.interp(M, line.get_xdata(), line.get_ydata()) for line in long}

    found = curves(Drawn(missing, None, item.recommendation))
    assert len(found) == 2
    solid = found.pop(str(LINES["preference"]))
    (dotted,) = found.values()
    assert LINES["preference"] != MISSED_LINE
    assert np.abs(solid - points).max() < 0.5 < np.abs(dotted - points).max()
    assert len(curves(item)) == 1, "control: a form that fits stands alone"
