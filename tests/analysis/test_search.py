"""The default search at the borders of what it allows: it slides along them, reaches far peaks, or says it cannot."""

from __future__ import annotations

import numpy as np
import pytest

from easyedit_split.analysis import FitError, fit_curve
from easyedit_split.analysis.fit import least_squares
from easyedit_split.analysis.fit.curves import preference_curve
from easyedit_split.analysis.fit.decay import CENTRE_BOUND, RationalQuadratic, to_params
from easyedit_split.analysis.fit.problem import curve_problem
from easyedit_split.analysis.fit.starts import HALF_WIDTHS, half_widths, starts
from easyedit_split.analysis.fit.steps import bounded_step, sliding_step
from easyedit_split.analysis.fit.varpro import (
    DAMPING,
    OPTIMAL,
    PLATEAU,
    PLATEAUED,
    PROMISE,
    RUNNING,
    STUCK,
    Solution,
    _verdict,
    solve,
)
from easyedit_split.sweep_curves import KINDS, Kind
from easyedit_split.types import FloatArray
from tests.analysis.planted import M

DENSE = np.concatenate([-np.geomspace(0.01, 100, 20)[::-1], [0.0], np.geomspace(0.01, 100, 20)])


def lorentzian(m: FloatArray) -> FloatArray:
    return 1 / (1 + (m - 15) ** 2 / 9)


def gaussian(m: FloatArray) -> FloatArray:
    return np.exp(-((m - 10) ** 2) / 4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_narrow_peak_far_from_zero_is_found(kind: Kind, sign: float) -> None:
    fit = fit_curve(M, lorentzian(sign * M), kind)
    assert fit.ok
    assert 1 - fit.r2 < 1e-12
    assert (fit.params.m_plus, fit.params.L_plus, fit.params.p_plus) == pytest.approx((sign * 15, 9, 1), rel=1e-3)


@pytest.mark.parametrize(
    ("kind", "centre", "width", "p"),
    [
        ("utility", 14.5, 1.5, 0.4),
        ("preference", 17.0, 0.8, 0.4),
        ("utility", 17.0, 2.0, 1.0),
        ("utility", 19.0, 1.0, 1.0),
        ("utility", -9.0, 1.0, 1.0),
    ],
)
def test_peaks_that_only_sliding_placed_starts_or_one_shape_for_both_sides_reach(
    kind: Kind, centre: float, width: float, p: float
) -> None:
    L = width**2 / np.expm1(np.log(2) / p)
    fit = fit_curve(M, (1 + (M - centre) ** 2 / L) ** -p, kind)
    assert fit.ok
    assert 1 - fit.r2 < 1e-8


def test_searches_at_a_border_go_on_along_it() -> None:
    """An exponential rise is best explained at the borders; when steps could not slide, 4 of 40 starts got there."""
    problem = curve_problem(M, np.exp(M / 7), "utility")
    theta, sigma = starts(problem.decay, problem.target, with_alpha=False, count=40)
    rows = np.broadcast_to(problem.target, (40, 41))
    found = solve(problem.decay, rows, theta, sigma, with_alpha=False, max_iterations=400)
    assert (found.cost < 1.05 * found.cost.min()).sum() > 10
    assert (found.status == STUCK).sum() == 0


@pytest.mark.parametrize(("curve", "most"), [(lorentzian, 1e-3), (gaussian, 2.2e-3)])
def test_a_noisy_far_peak_is_fitted_as_well_as_by_the_papers_solver(curve, most: float) -> None:  # type: ignore[no-untyped-def]
    y = curve(M) + 0.01 * np.random.default_rng(0).normal(size=len(M))
    assert 1 - fit_curve(M, y, "utility").r2 < most


@pytest.mark.parametrize("width", [0.05, 0.2, 1.0, 30.0])
@pytest.mark.parametrize("kind", KINDS)
def test_a_grid_dense_near_zero_shows_narrow_decay(width: float, kind: Kind) -> None:
    y = (1 + (kind == "preference") * DENSE) / (1 + (DENSE / width) ** 2)
    fit = fit_curve(DENSE, y, kind)
    assert 1 - fit.r2 < 1e-8
    assert not fit.at_bound


def test_half_widths_follow_the_densest_part_of_the_grid() -> None:
    assert half_widths(RationalQuadratic(M / 20, 20, True)) == HALF_WIDTHS
    dense = half_widths(RationalQuadratic(DENSE / 100, 20, True))
    assert dense[-len(HALF_WIDTHS) :] == HALF_WIDTHS
    assert dense[0] == pytest.approx(1.2 * np.diff(DENSE / 100).min())
    assert np.all(np.diff(dense) > 0)


def shapes(rng: np.random.Generator, decay: RationalQuadratic, count: int) -> tuple[FloatArray, FloatArray]:
    low, high = decay.bounds
    return rng.uniform(low, high, (count, len(low))), rng.choice([-1.0, 1.0], count)


@pytest.mark.parametrize("two_sided", [True, False])
def test_retracted_points_are_allowed_and_allowed_points_stay(two_sided: bool) -> None:
    decay = RationalQuadratic(M / 20 if two_sided else np.linspace(0, 1, 21), 20 if two_sided else 0, two_sided)
    theta, sigma = shapes(np.random.default_rng(0), decay, 2000)
    inside, near = decay.retract(theta)
    low, high = decay.bounds
    allowed = decay.feasible(theta, sigma)
    assert 100 < allowed.sum() < 1900
    assert np.all((inside >= low - 1e-9) & (inside <= high + 1e-9))
    for side, lowest in zip(decay.sides(inside, sigma), decay.L_low, strict=True):
        assert np.abs(side.c).max() <= CENTRE_BOUND * (1 + 1e-9)
        assert side.L.min() >= lowest * (1 - 1e-9)
    assert np.array_equal(inside[allowed], theta[allowed])
    assert np.all(near[~allowed])
    assert not near[allowed].any()


def test_normals_are_the_gradients_of_the_borders() -> None:
    decay = RationalQuadratic(M / 20, 20, True)
    theta, sigma = shapes(np.random.default_rng(1), decay, 50)
    theta = decay.retract(theta)[0]
    normals, touched = decay.walls(theta)
    assert touched.any(axis=0).all()

    def borders(at: FloatArray) -> FloatArray:
        sides = decay.sides(at, sigma)
        return np.stack([2 * np.log(np.abs(s.c)) for s in sides] + [-np.log(s.L) for s in sides], axis=1)

    for k in range(theta.shape[1]):
        h = np.zeros(theta.shape[1])
        h[k] = 1e-6
        assert normals[:, :, k] == pytest.approx((borders(theta + h) - borders(theta - h)) / 2e-6, rel=1e-4, abs=1e-5)


def test_steps_do_not_cross_a_wall_and_still_descend() -> None:
    rng = np.random.default_rng(2)
    A = rng.normal(size=(200, 8, 5))
    H, g = np.matmul(A.transpose(0, 2, 1), A), rng.normal(size=(200, 5))
    normals, damping = rng.normal(size=(200, 3, 5)), np.full(200, 1e-3)
    theta, box = np.zeros((200, 5)), (np.full(5, -1.0), np.full(5, 1.0))
    theta[:100, 0] = 1.0
    everywhere, nowhere = np.ones((200, 3), dtype=bool), np.zeros((200, 3), dtype=bool)
    free, _ = bounded_step(H, g, damping, theta, box)
    assert (np.einsum("skq,sq->sk", normals, free) > 1e-3).any(axis=1).mean() > 0.5, "control: some must be stopped"
    slid, gain = sliding_step(H, g, damping, theta, box, (normals, everywhere))
    assert np.einsum("skq,sq->sk", normals, slid).max() < 1e-7
    assert slid[:100, 0].max() < 1e-7
    assert np.all(gain >= 0)
    assert gain == pytest.approx(np.einsum("sq,sq->s", slid, g), rel=1e-6, abs=1e-9)
    assert sliding_step(H, g, damping, theta, box, (normals, nowhere))[0][100:] == pytest.approx(free[100:], rel=1e-6)


@pytest.mark.parametrize("curvature", [0.0, 5e-324, 1e-305, 1e-160, 1.0])
@pytest.mark.parametrize("damping", [1e-12, 1e12])
def test_a_flat_problem_takes_finite_steps(curvature: float, damping: float) -> None:
    """One coordinate held at its bound, the other with any curvature, none at all too; another problem beside it."""
    H = np.array([np.diag([1.0, curvature]), np.eye(2)])
    g, theta = np.array([[-1.0, curvature], [0.0, 1.0]]), np.array([[-1.0, 0.0], [0.0, 0.0]])
    box, some = (np.full(2, -1.0), np.full(2, 1.0)), np.full(2, damping)
    step, _ = bounded_step(H, g, some, theta, box)
    assert np.isfinite(step).all()
    assert step[0, 0] == 0
    assert step[1, 1] == pytest.approx(1 / (1 + damping)), "control: the other problem's step is its own"
    walls = np.zeros((2, 1, 2)), np.zeros((2, 1), dtype=bool)
    assert np.isfinite(sliding_step(H, g, some, theta, box, walls)[0]).all()


def test_a_search_started_on_a_border_leaves_it() -> None:
    decay = RationalQuadratic(M / 20, 20, True)
    far = np.array([[1.0, -9.0, 0.0, -9.0, 0.0]])
    truth = to_params(decay, np.array([0.6, 2.0, 0.5, 1.5, 0.2]), 1.0, np.array([0.3, 0.5, 0.4]), 1.0)
    found = solve(decay, preference_curve(decay.x, truth)[None], far, np.ones(1), with_alpha=True, max_iterations=400)
    assert found.status[0] in (OPTIMAL, PLATEAUED)
    assert found.cost[0] < 1e-3


def verdict(gain: float, damping: float, fell: float) -> int:
    one = np.ones(1)
    return int(_verdict(one, gain * one, damping * one, one, one + fell)[0])


def test_standing_still_is_no_convergence_while_a_step_promises_much() -> None:
    little, much = 1e-3 * PROMISE, 10 * PROMISE
    assert verdict(little, 1.0, PLATEAU[1] / 2) == PLATEAUED
    assert verdict(much, 1.0, PLATEAU[1] / 2) == RUNNING
    assert verdict(little, 1.0, 10 * PLATEAU[1]) == RUNNING
    assert verdict(much / 1e6, 1e6, 0.0) == RUNNING
    assert verdict(much / DAMPING[1], DAMPING[1], 0.0) == STUCK
    assert verdict(little / DAMPING[1], DAMPING[1], 0.0) == OPTIMAL


def test_a_stuck_search_is_not_a_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    def stuck(*args: object, **options: object) -> Solution:
        found = solve(*args, **options)  # type: ignore[arg-type]
        found.status[:] = STUCK
        return found

    monkeypatch.setattr(least_squares, "solve", stuck)
    with pytest.raises(FitError, match="no step lowers the squared error"):
        fit_curve(M, lorentzian(M), "utility")
