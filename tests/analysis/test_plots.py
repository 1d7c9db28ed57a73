"""Figures: every line where its numbers say, the legend says what was drawn, files are written in three formats."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from easyedit_split.analysis import SweepFit, curves_of, fit_curve, fit_sweep, recommend, regions_of, spread_of
from easyedit_split.analysis.figures.drawing import LIFT, LIFT_MORE, notes_inches
from easyedit_split.analysis.figures.plots import Drawn, plot_curve, plot_sweep, save_figure, shade_regions
from easyedit_split.analysis.figures.style import COLOURS, REGION_COLOURS, look
from easyedit_split.sweep_curves import KINDS
from easyedit_split.types import ConfigError
from tests.analysis.planted import M, sweep_table

KEYS = [{"form": f, "objective": o} for f, o in (("vector", "sft"), ("vector", "split"), ("lora", "sft"))]


@pytest.fixture(scope="module")
def drawn() -> list[Drawn]:
    out = []
    for item in fit_sweep(curves_of(sweep_table(np.random.default_rng(0), KEYS))):
        assert item.preference is not None
        assert item.utility is not None
        spread = spread_of(item.curve, item.preference, item.utility, method="sandwich")
        out.append(Drawn(item, spread, recommend(item, spread=spread)))
    return out


def bare(item: Drawn) -> Drawn:
    """The same without fits."""
    return Drawn(SweepFit(item.fit.curve, None, None, ()))


def keyed(item: Drawn, **parts: str) -> Drawn:
    """The same under another key."""
    curve = replace(item.fit.curve, key=replace(item.fit.curve.key, **parts))
    return replace(item, fit=replace(item.fit, curve=curve))


def without_utility(item: Drawn) -> Drawn:
    curve = replace(item.fit.curve, utility=None, excluded=("0",))
    return Drawn(SweepFit(curve, item.fit.preference, None, ()))


def legend(figure: Figure) -> list[str]:
    """Its entries, as a reader reads them: row by row."""
    figure.draw_without_rendering()
    found = [(text.get_window_extent(), text.get_text()) for text in figure.legends[0].get_texts()]
    rows: list[list[tuple[float, float, str]]] = []
    for box, text in sorted(((box, text) for box, text in found if text.strip()), key=lambda item: -item[0].y0):
        if not rows or rows[-1][0][1] - box.y0 > 6:  # pixels; a row takes 18
            rows.append([])
        rows[-1].append((box.x0, box.y0, text))
    return [text for row in rows for _, _, text in sorted(row)]


def curves_in(ax: Axes) -> list[Line2D]:
    """Lines over all swept m: points, joined points, fitted curves."""
    return [line for line in ax.lines if len(np.asarray(line.get_xdata())) >= len(M)]


def test_every_line_lies_where_its_numbers_say(drawn: list[Drawn]) -> None:
    item = drawn[0]
    ax = Figure().subplots()
    assert plot_curve(ax, item, colour=COLOURS[1]) is ax
    assert len(ax.lines) == 8
    assert item.recommendation is not None
    assert item.recommendation.m is not None
    assert item.recommendation.m_interval is not None
    ends = item.recommendation.m_interval
    for kind, lines in zip(KINDS, (ax.lines[:4], ax.lines[4:]), strict=True):
        fit = item.fit.fit(kind)
        assert fit is not None
        points, curve, diamond, interval = lines
        assert (points.get_xydata() == np.column_stack([M, item.fit.curve.table(kind).mean])).all()
        m = np.asarray(curve.get_xdata(), dtype=np.float64)
        assert (curve.get_ydata() == fit(m)).all()
        assert (m[0], m[-1]) == (M[0], M[-1])
        assert (points.get_linestyle(), curve.get_linestyle()) == ("None", "-" if kind == "preference" else "--")
        assert points.get_markerfacecolor() == (COLOURS[1] if kind == "preference" else "white")
        height = float(fit(np.array([item.recommendation.m]))[0])
        assert np.asarray(diamond.get_xydata()).tolist() == [[item.recommendation.m, height]]
        assert np.asarray(interval.get_xydata()).tolist() == [[ends.low, height], [ends.high, height]]
        assert interval.get_color() == COLOURS[1]
        assert lifted(ax, interval) == pytest.approx(LIFT)


def lifted(ax: Axes, line: Line2D) -> float:
    """Points by which a line is drawn above its data."""
    xy = np.asarray(line.get_xydata())
    shift = line.get_transform().transform(xy) - ax.transData.transform(xy)
    assert shift[:, 0] == pytest.approx(0, abs=1e-9)
    assert ax.figure is not None
    return float(shift[0, 1] * 72 / ax.figure.dpi)


def test_bands_are_the_intervals(drawn: list[Drawn]) -> None:
    item = drawn[0]
    ax = plot_curve(Figure().subplots(), item)
    assert len(ax.collections) == 2
    for kind, band in zip(KINDS, ax.collections, strict=True):
        fit, versions = item.fit.fit(kind), getattr(item.spread, kind)
        assert isinstance(band, PolyCollection)
        assert fit is not None
        assert item.spread is not None
        m = np.unique(np.asarray(band.get_paths()[0].vertices)[:, 0])
        low, high = item.spread.interval(versions.values(m), fit(m))
        outline = {(float(x), float(y)) for x, y in np.asarray(band.get_paths()[0].vertices)}
        assert outline == {(float(x), float(y)) for ends in (low, high) for x, y in zip(m, ends, strict=True)}


def test_without_a_fit_points_are_joined_in_the_kinds_own_way(drawn: list[Drawn]) -> None:
    ax = plot_curve(Figure().subplots(), bare(drawn[0]))
    assert (len(ax.collections), len(ax.lines)) == (0, 2)
    assert [line.get_linestyle() for line in ax.lines] == ["-", "--"]
    assert [line.get_markerfacecolor() for line in ax.lines] == [COLOURS[0], "white"]
    for kind, line in zip(KINDS, ax.lines, strict=True):
        assert (line.get_xydata() == np.column_stack([M, drawn[0].fit.curve.table(kind).mean])).all()
    assert legend(plot_sweep([bare(drawn[0])])) == ["SFT", "preference", "utility"]


def test_marks_at_one_m_are_stacked(drawn: list[Drawn]) -> None:
    figure = plot_sweep([drawn[0], drawn[1]])
    ax = figure.axes[0]
    first, second = (line for line in ax.lines if len(np.asarray(line.get_xdata())) == 2 and line.get_marker() == "|")
    assert lifted(ax, first) == pytest.approx(LIFT)
    assert lifted(ax, second) == pytest.approx(LIFT + LIFT_MORE)
    assert [first.get_color(), second.get_color()] == [COLOURS[0], COLOURS[1]]
    diamonds = [line for line in ax.lines if line.get_marker() == "D"]
    highest = max(float(np.asarray(line.get_ydata())[0]) for line in diamonds)
    assert np.asarray(first.get_ydata()).tolist() == np.asarray(second.get_ydata()).tolist() == [highest, highest]


def test_panels_by_form(drawn: list[Drawn]) -> None:
    figure = plot_sweep(drawn)
    assert [ax.get_title() for ax in figure.axes] == ["Vector", "LoRA", "", ""]
    assert not figure.axes[0].patches  # two interventions: no shading
    assert figure.axes[1].patches
    assert len(plot_sweep(drawn, overlay=True).axes) == 2
    with pytest.raises(ConfigError, match="nothing to plot"):
        plot_sweep([])


@pytest.mark.parametrize("part", ["model", "dataset", "split", "seed", "placement", "site"])
def test_two_curves_are_never_drawn_alike(drawn: list[Drawn], part: str) -> None:
    both = [keyed(bare(drawn[0]), **{part: value}) for value in ("a", "b")]
    figure = plot_sweep(both, overlay=True)
    if part in ("model", "dataset"):
        assert [ax.get_title() for ax in figure.axes] == ["a, Vector", "b, Vector"]
        assert legend(figure) == ["SFT", "preference", "utility"]
    else:
        words = ("seed a", "seed b") if part == "seed" else ("a", "b")
        assert legend(figure)[:2] == [f"SFT, {word}" for word in words]
    for ax in figure.axes:
        looks = [(line.get_color(), line.get_marker(), line.get_linestyle()) for line in curves_in(ax)]
        assert len(set(looks)) == len(looks) == (2 if part in ("model", "dataset") else 4)


def test_models_go_down_where_forms_go_across(drawn: list[Drawn]) -> None:
    every = [keyed(bare(item), model=model) for model in ("org/a", "org/b") for item in drawn]
    figure = plot_sweep(every[:-1])  # b has no LoRA
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["a, Vector", "a, LoRA", "", "", "b, Vector", "", "", ""]
    assert [ax.axison for ax in figure.axes] == [True] * 5 + [False, True, False]
    assert figure.axes[3].get_xlabel() == figure.axes[6].get_xlabel() == "steering factor m"
    assert legend(figure) == ["SFT", "SPLIT", "preference", "utility"]


def test_49_looks_differ() -> None:
    assert len({look(k) for k in range(49)}) == 49


def test_the_legend_names_what_is_drawn_row_by_row(drawn: list[Drawn]) -> None:
    colours = {to_hex(patch.get_facecolor()).upper() for patch in shade_regions(Figure().subplots(), drawn[2]).patches}
    regions = [name for name, colour in REGION_COLOURS.items() if colour in colours]
    assert len(regions) >= 2
    assert legend(plot_sweep(drawn)) == [
        *("SFT", "SPLIT", "preference", "utility", "recommended m", "95 % CI (over pairs)"),
        *(name for name in REGION_COLOURS if name in regions),
    ]
    assert legend(plot_sweep(drawn[:2]))[-1] == "95 % CI (over pairs)"  # two interventions: no shading


def test_a_region_that_the_sweep_does_not_reach_is_not_in_the_legend(drawn: list[Drawn]) -> None:
    near = np.abs(M) <= 8
    fit = fit_curve(M[near], drawn[0].fit.curve.preference.mean[near], "preference")
    found = regions_of(fit)
    assert found.plus is not None
    assert found.minus is not None
    assert found.plus.convergence_start is found.minus.convergence_start is None
    item = Drawn(SweepFit(drawn[0].fit.curve, fit, None, ()))
    ax = shade_regions(Figure().subplots(), item)
    assert len(ax.patches) == 4
    entries = legend(plot_sweep([item]))
    assert [name for name in REGION_COLOURS if name in entries] == ["linear", "transitional"]


def test_residual_bands_are_called_so(drawn: list[Drawn]) -> None:
    item = drawn[0].fit
    residual = spread_of(item.curve, item.preference, item.utility, method="residual")
    assert "95 % CI (residuals)" in legend(plot_sweep([Drawn(item, residual)]))


def test_the_first_and_last_point_have_room(drawn: list[Drawn]) -> None:
    for ax in plot_sweep(drawn[:1]).axes:
        assert ax.get_xlim() == pytest.approx((-20.8, 20.8))


def below_notes(ax: Axes) -> tuple[float, float]:
    """The y range of a panel below the strip of its notes."""
    (low, high), inches = ax.get_ylim(), ax.get_window_extent().height / ax.get_figure(root=True).dpi
    return low, high - (high - low) * notes_inches(len(ax.texts)) / inches


def test_nothing_is_drawn_behind_notes(drawn: list[Drawn]) -> None:
    figure = plot_sweep(drawn)
    figure.draw_without_rendering()
    noted = [ax for ax in figure.axes if ax.texts]
    assert noted
    for ax in noted:
        lowest = min(text.get_window_extent().y0 for text in ax.texts)
        swept = [line for line in ax.lines if len(line.get_xdata()) > 2]
        highest = max(ax.transData.transform(np.array(line.get_xydata()))[:, 1].max() for line in swept)
        panel = ax.get_window_extent()
        assert panel.y0 + 0.5 * panel.height < highest < lowest, "control: it is drawn, high up"
        assert all(tick < below_notes(ax)[1] for tick in ax.get_yticks())


def test_a_wild_curve_or_band_does_not_flatten_the_points(drawn: list[Drawn]) -> None:
    fit = drawn[0].fit.preference
    assert fit is not None
    wild = replace(fit, params=replace(fit.params, alpha=1000.0))
    item = Drawn(replace(drawn[0].fit, preference=wild))
    points = drawn[0].fit.curve.preference.mean
    low, high = below_notes(plot_sweep([item]).axes[0])
    assert (low, high) == pytest.approx((points.min() - 0.3 * np.ptp(points), points.max() + 0.3 * np.ptp(points)))
    low, high = plot_sweep([bare(drawn[0])]).axes[0].get_ylim()  # control: nothing to cut
    assert (low, high) == pytest.approx((points.min() - 0.08 * np.ptp(points), points.max() + 0.08 * np.ptp(points)))


def test_utility_without_data_is_called_undefined(drawn: list[Drawn]) -> None:
    item = without_utility(drawn[0])
    figure = plot_sweep([item])
    upper, lower = figure.axes
    assert "undefined" not in [text.get_text() for text in upper.texts]
    assert upper.patches
    assert [text.get_text() for text in lower.texts] == ["undefined"]
    assert not lower.patches
    assert not lower.lines
    assert not len(lower.get_yticks())
    assert "utility" not in legend(figure)
    (ax,) = plot_sweep([item], overlay=True).axes
    assert "utility undefined" in [text.get_text() for text in ax.texts]
    texts = [text.get_text() for text in plot_sweep([item, drawn[1]]).axes[1].texts]
    assert "undefined" not in " ".join(texts), "another curve of the panel has it"


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_files(drawn: list[Drawn], suffix: str, tmp_path: Path) -> None:
    path = save_figure(plot_sweep(drawn[:1]), tmp_path / f"figure.{suffix}")
    assert path.stat().st_size > 5000


def test_other_files_are_refused(drawn: list[Drawn], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"use \.png, \.svg, \.pdf"):
        save_figure(plot_sweep(drawn[:1]), tmp_path / "figure.bmp")


def test_a_second_axis_in_natural_units_where_the_sweep_has_them() -> None:
    table = pd.DataFrame(
        [
            {"m1": m, "m2": m, "pair": p, "pref": m + p, "util": -(m**2) - p, "r": 0.2 * m}
            for m in range(-4, 5)
            for p in (0, 1)
        ]
    )
    assert curves_of(table)[0].r_per_m == pytest.approx(0.2)
    figure = plot_sweep(table)
    figure.draw_without_rendering()
    (top,) = figure.axes[0].child_axes
    assert top.get_xlabel() == "r = |m dh| / |h|"
    assert tuple(top.get_xlim()) == pytest.approx(tuple(0.2 * end for end in figure.axes[0].get_xlim()))
    plain = table.drop(columns="r")
    assert curves_of(plain)[0].r_per_m is None
    assert not plot_sweep(plain).axes[0].child_axes
