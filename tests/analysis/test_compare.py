"""Rival curves win where they are true and lose where they are not."""

from __future__ import annotations

import numpy as np
import pytest

from easyedit_split.analysis import compare_models, fit_curve
from easyedit_split.analysis.fit.curves import preference_curve
from easyedit_split.analysis.fit.rivals import serves
from easyedit_split.analysis.fit.switch import fit_switch
from easyedit_split.sweep_curves import Kind
from easyedit_split.types import ConfigError, DataError, FloatArray
from tests.analysis.planted import PREF, M


def switched(m: FloatArray) -> FloatArray:
    """The mean over pairs that turn around m = 6 from -5 to 5 nats, each at its own m."""
    turns = 6 + 1.5 * np.random.default_rng(0).normal(size=(4000, 1))
    u = 1.5 * (m - turns)
    return np.asarray((np.logaddexp(u + 5, 0) - np.logaddexp(u, 5)).mean(axis=0), dtype=np.float64)


TRUE = {
    "rational quadratic (paper)": preference_curve(M, PREF),
    "linear": 0.7 * M - 2,
    "quadratic": 0.1 * M**2 + M,
    "gaussian decay": (1.5 * M + 4) * np.exp(-(M**2) / np.where(M >= 0, 120, 60)),
    "exponential decay": (1.5 * M + 4) * np.exp(-np.abs(M) / np.where(M >= 0, 8, 4)),
    "one smooth decay": (1.5 * M + 4) * (1 + (M - 2) ** 2 / 80) ** -1.5 - 3,
}


@pytest.mark.parametrize("name", list(TRUE))
def test_the_true_model_wins_by_bic(name: str) -> None:
    y = TRUE[name] + 0.01 * np.ptp(TRUE[name]) * np.random.default_rng(0).normal(size=len(M))
    scores = compare_models(M, y, "preference")
    assert [s.bic for s in scores] == sorted(s.bic for s in scores)
    assert scores[0].name == name
    assert scores[0].held_out_r2 > 0.99


def test_wrong_models_lose_on_held_out_points() -> None:
    y = TRUE["rational quadratic (paper)"] + 0.05 * np.random.default_rng(1).normal(size=len(M))
    by_name = {score.name: score for score in compare_models(M, y, "preference")}
    for name in ("linear", "quadratic", "exponential decay"):
        assert by_name[name].held_out_r2 < by_name["rational quadratic (paper)"].held_out_r2 - 0.002
    assert all(score.held_out_r2 <= score.r2 + 1e-9 for score in by_name.values())


def test_held_out_points_are_not_fitted() -> None:
    """By hand for the line: every fifth point, predicted from the others."""
    y = TRUE["linear"] + np.random.default_rng(2).normal(size=len(M))
    predicted = np.empty(41)
    for k in range(5):
        out = np.arange(41) % 5 == k
        predicted[out] = np.polyval(np.polyfit(M[~out], y[~out], 1), M[out])
    expected = 1 - np.square(y - predicted).sum() / np.square(y - y.mean()).sum()
    score = next(s for s in compare_models(M, y, "preference") if s.name == "linear")
    assert score.held_out_r2 == pytest.approx(expected, rel=1e-12)
    assert score.held_out_r2 < score.r2


@pytest.mark.parametrize("kind", ["preference", "utility"])
def test_one_sided(kind: Kind) -> None:
    m = np.linspace(0.0, 20.0, 25)
    scores = compare_models(m, 20 * np.exp(-m / 6) + 0.01 * np.cos(9 * m), kind)
    assert {s.name: s.n_params for s in scores}["exponential decay"] == (4 if kind == "preference" else 3)
    assert next(s for s in scores if s.name == "exponential decay").r2 > 0.999


@pytest.mark.parametrize(("m", "folds", "error"), [(M[::5], 5, DataError), (M, 1, ConfigError)])
def test_too_few_points_or_folds(m: FloatArray, folds: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        compare_models(m, preference_curve(m, PREF), "preference", folds=folds)


def test_without_folds_nothing_else_changes() -> None:
    y = TRUE["gaussian decay"] + 0.1 * np.random.default_rng(3).normal(size=len(M))
    full, quick = (compare_models(M, y, "preference", folds=folds) for folds in (5, None))
    assert [(s.name, s.r2, s.bic) for s in quick] == [(s.name, s.r2, s.bic) for s in full]
    assert all(np.isnan(s.held_out_r2) for s in quick)
    assert any(np.isfinite(s.held_out_r2) for s in full), "control"


STEEP = 5.684293810616795 * np.array(
    [-1, -0.5, -0.25, -0.125, -0.0625, -0.03125, 0, 0.03125, 0.0625, 0.125, 0.17592, 0.25, 0.5, 1]
)
JUMPS = np.array([-25.3, -27.9, -22.2, -24.6, -16.6, -5.6, 7.1, 19.2, 28.4, 29.7, 26.8, 23.0, 18.8, 34.8])


def test_a_curve_that_leaves_a_rival_without_curvature_is_compared() -> None:
    """SPLIT's vector on a chat model, on a coarse grid: one search runs to where its decay no longer moves a point."""
    scores = compare_models(STEEP, JUMPS, "preference")
    assert {"rational quadratic (paper)", "exponential decay"} <= {score.name for score in scores}


def test_a_switch_explains_a_flat_start() -> None:
    """Pairs that turn at their own m: flat to m = 4, steep, flat again; one line times a decay cannot follow."""
    y = switched(M)
    assert np.abs(y[M <= 0] - y[0]).max() < 0.2, "control: it starts flat"
    found = fit_switch(M, y)
    assert found(M) == pytest.approx(y, abs=0.15)
    paper = fit_curve(M, y, "preference", on_failure="return")
    assert np.abs(found(M) - y).max() < 0.3 * np.abs(paper(M) - y).max()


def test_rivals_speak_only_where_they_say_something_of_their_own() -> None:
    assert serves("one smooth decay", M, "utility")
    assert not serves("one smooth decay", M[M >= 0], "utility"), "one-sided, it is the paper's form"
    assert serves("switch", M, "preference")
    assert not serves("switch", M, "utility")
