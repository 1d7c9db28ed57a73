"""Figures: your axes come back, every part is drawn, files are written in the three formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from easyedit_split.analysis import curves_of, fit_sweep, recommend, spread_of
from easyedit_split.analysis.plots import Drawn, plot_curve, plot_sweep, save_figure, shade_regions
from easyedit_split.types import ConfigError
from tests.analysis.planted import sweep_table

KEYS = [{"form": f, "objective": o} for f, o in (("vector", "sft"), ("vector", "split"), ("lora", "sft"))]


@pytest.fixture(scope="module")
def drawn() -> list[Drawn]:
    out = []
    for item in fit_sweep(curves_of(sweep_table(np.random.default_rng(0), KEYS))):
        assert item.preference is not None
        assert item.utility is not None
        spread = spread_of(item.curve, item.preference, item.utility, method="sandwich")
        out.append(Drawn(item, spread, recommend(item.preference, item.utility, spread=spread)))
    return out


def test_axes_are_handed_back_with_everything_in_them(drawn: list[Drawn]) -> None:
    ax = Figure().subplots()
    assert plot_curve(ax, drawn[0]) is ax
    assert len(ax.collections) == 2  # a band for each curve
    assert len(ax.lines) == 8  # points, curve, interval and diamond of each
    bare = plot_curve(Figure().subplots(), Drawn(drawn[0].fit))
    assert (len(bare.collections), len(bare.lines)) == (0, 4)
    assert len(shade_regions(bare, drawn[0]).patches) >= 4


def test_panels_by_form(drawn: list[Drawn]) -> None:
    figure = plot_sweep(drawn)
    assert [ax.get_title() for ax in figure.axes] == ["Vector", "LoRA", "", ""]
    assert not figure.axes[0].patches  # two interventions: no shading
    assert figure.axes[1].patches
    assert len(plot_sweep(drawn, overlay=True).axes) == 2
    with pytest.raises(ConfigError, match="nothing to plot"):
        plot_sweep([])


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_files(drawn: list[Drawn], suffix: str, tmp_path: Path) -> None:
    path = save_figure(plot_sweep(drawn[:1]), tmp_path / f"figure.{suffix}")
    assert path.stat().st_size > 5000


def test_other_files_are_refused(drawn: list[Drawn], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"use \.png, \.svg, \.pdf"):
        save_figure(plot_sweep(drawn[:1]), tmp_path / "figure.bmp")
