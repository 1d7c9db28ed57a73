"""Whether an m is steering: paired gains with both intervals, certain pairs apart, and refusals that say a remedy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from easyedit_split.analysis import Direction, SweepCurve, from_pairs, read_curves, style_of
from easyedit_split.analysis.choose_m.evidence import evidence_at
from easyedit_split.analysis.choose_m.interpolation import interpolation_error
from easyedit_split.analysis.choose_m.paired_gain import paired_gain
from easyedit_split.analysis.choose_m.scored_pairs import ScoredPairs, heights
from easyedit_split.types import FloatArray
from tests.analysis.planted import sweep_curve

M = np.linspace(-8.0, 8.0, 17)
CASES = Path(__file__).parents[3] / "shared" / "cases" / "30-which-m"
ONE = np.zeros(40, dtype=np.int64)


def saturated_table(free: int, certain: int, lift: float = 2.0) -> SweepCurve:
    """``free`` pairs against by some 9 nats that gain ``lift`` per unit of m; ``certain`` ones lose a hundredth."""
    own = np.linspace(-1, 1, free)[:, None]
    pref = np.concatenate([-9 + own + lift * (1 + 0.2 * own) * M, np.tile(20 - 0.05 * M, (certain, 1))])
    return sweep_curve(pref, np.tile(-8 - 0.1 * M**2, (free + certain, 1)), M)


def mirrored(curve: SweepCurve) -> SweepCurve:
    """The same with m and -m exchanged."""
    tables = [replace(t, values=t.values[:, ::-1].copy()) for t in (curve.preference, curve.table("utility"))]
    return replace(curve, preference=tables[0], utility=tables[1])


@pytest.mark.parametrize("certain", [0, 30, 90])
def test_certain_pairs_do_not_veto_what_the_others_show(certain: int) -> None:
    curve = saturated_table(40, certain)
    advice = from_pairs(curve)
    fine = np.linspace(0, 8, 801)
    own = np.linspace(-1, 1, 40)[:, None]
    choice = np.concatenate([-9 + own + 2 * (1 + 0.2 * own) * fine, np.tile(20 - 0.05 * fine, (certain, 1))])
    truth = fine[(-np.logaddexp(0, -choice).mean(axis=0) - np.logaddexp(0, 8 + 0.1 * fine**2)).argmax()]
    assert advice.m == pytest.approx(truth, abs=0.3)
    assert advice.evidence is not None
    assert advice.evidence.certain == certain
    other = from_pairs(mirrored(curve))
    assert other.m == pytest.approx(-(advice.m or 0.0), abs=1e-9)
    assert from_pairs(saturated_table(40, certain, lift=0.0)).m is None, "control"


def test_a_pair_is_certain_only_where_it_stays_so() -> None:
    curve = saturated_table(10, 10)
    pairs = ScoredPairs.of(curve, "raise")
    assert evidence_at(pairs, 4.0, 0.95).certain == 10
    fallen = curve.preference.values.copy()
    fallen[-1] = 20 - 3 * np.abs(M)
    found = evidence_at(ScoredPairs.of(sweep_curve(fallen, pairs.util, M), "raise"), 6.0, 0.95)
    assert found.certain == 9
    assert found.moved is not None
    assert found.moved.pairs == 11


@pytest.mark.parametrize("level", [0.9, 0.99])
def test_the_intervals_are_students_and_a_bootstraps(level: float) -> None:
    values = np.random.default_rng(0).normal(0.5, 1.0, size=40)
    gain = paired_gain(values, ONE, level)
    assert gain.student is not None
    assert gain.bootstrap is not None
    half = stats.t.ppf((1 + level) / 2, 39) * stats.sem(values)
    assert (gain.student.low, gain.student.high) == pytest.approx((values.mean() - half, values.mean() + half))
    assert gain.probability == pytest.approx(stats.ttest_1samp(values, 0).pvalue)
    assert gain.bootstrap.low == pytest.approx(gain.student.low, abs=0.2 * half)
    assert gain.bootstrap.high == pytest.approx(gain.student.high, abs=0.2 * half)


def test_the_pairs_that_a_refusal_names_would_be_enough() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=40)
    values += 0.2 - values.mean()
    gain = paired_gain(values, ONE, 0.95)
    assert not gain.shown
    assert gain.needed is not None
    many = paired_gain(
        np.resize(values, 40 * (1 + gain.needed // 40)), np.zeros(40 * (1 + gain.needed // 40), int), 0.95
    )
    assert many.student is not None
    assert many.student.low > 0
    few = np.resize(values, 40 * (gain.needed // 80))
    assert not paired_gain(few, np.zeros(len(few), dtype=np.int64), 0.95).shown, "control"


def test_a_refusal_says_what_would_change_it() -> None:
    rng = np.random.default_rng(3)
    slopes = rng.normal(size=(20, 1))
    slopes += 0.25 - slopes.mean()
    curve = sweep_curve(slopes * M - 1.0, np.tile(-8 - 0.05 * M**2, (20, 1)), M)
    reason = from_pairs(curve).reason
    assert "which is not significant" in reason
    assert "pairs would make it significant (there are 20), or a confidence level of 0." in reason
    level = float(reason.rsplit("a confidence level of ", 1)[1])
    assert from_pairs(curve, level=level - 0.05).m is not None
    assert from_pairs(curve, level=min(0.99, level + 0.02)).m is None
    steep = sweep_curve(np.tile(1.0 * M, (20, 1)), np.tile(-60.0 * np.abs(M), (20, 1)), M)
    assert "log-probability falls by" in from_pairs(steep).reason
    assert "sweep nearer to 0" in from_pairs(steep).reason


def test_style_is_no_concept() -> None:
    """Utility that rises for all pairs while preference goes either way is refused, and called what it is."""
    slopes = np.tile([[0.5], [-0.5]], (10, 1)) * (1 + 0.1 * np.arange(20)[:, None])
    style = np.tile(-20 + 2 * M - 0.1 * M**2, (20, 1))
    advice = from_pairs(sweep_curve(slopes * M, style, M), aim="answer")
    assert advice.m is None
    assert advice.style is not None
    assert advice.style.learnt
    assert advice.style.rise.mean == pytest.approx(2 * 8 - 0.1 * 64, rel=1e-6)
    steady = style_of(ScoredPairs.of(sweep_curve(slopes * M, 0 * style - 0.1 * M**2, M), "raise"))
    assert steady is not None
    assert not steady.learnt, "control"
    assert steady.sentence() == ""


def test_the_capped_score_is_the_likelihood_where_utility_only_falls() -> None:
    fine = np.union1d(np.linspace(-8, 8, 101), [0.0])
    falls = ScoredPairs.of(sweep_curve(np.tile(M, (6, 1)), np.tile(3 - 0.1 * M**2, (6, 1)), M), "raise")
    either = falls.at(falls.either_part, np.zeros(1))
    assert falls.capped(fine) == pytest.approx(falls.likelihood(fine) - either, abs=0.01)  # parts or whole interpolated
    rises = ScoredPairs.of(sweep_curve(np.tile(M, (6, 1)), np.tile(-9 + 3 * M - 0.3 * M**2, (6, 1)), M), "raise")
    gained = rises.capped(fine) - rises.likelihood(fine)
    assert float(np.ptp(gained)) > 5, "control"
    inside = (fine >= 0) & (fine <= 5)
    assert rises.capped(fine)[:, inside] == pytest.approx(rises.at(rises.choice_part, fine)[:, inside], abs=1e-9)


def test_heights_look_back_to_zero_on_both_sides() -> None:
    curve = np.array([5.0, 1.0, 2.0, 0.0, 3.0, 1.0, 4.0])
    slow = [max(range(min(k, 3), max(k, 3) + 1), key=lambda j: (curve[j], -abs(j - 3))) for k in range(7)]
    assert heights(curve, 3).tolist() == slow


def test_learnt_style_does_not_carry_m_away() -> None:
    """Utility rises to m = 7, preference has turned every pair at 3: the capped aim stops there, the other goes on."""
    pref = np.tile(-6 + 4 * M, (12, 1)) + np.linspace(-1, 1, 12)[:, None]
    curve = sweep_curve(pref, np.tile(-30 + 4.2 * M - 0.3 * M**2, (12, 1)), M)
    capped, answer = from_pairs(curve), from_pairs(curve, aim="answer")
    assert capped.m is not None
    assert 2.0 < capped.m < 4.0
    assert answer.m == pytest.approx(7.0, abs=0.2)
    assert "learnt style not counted" in capped.reason


def test_interpolation_error_bounds_what_a_coarse_sweep_hides() -> None:
    def curve(m: FloatArray) -> FloatArray:
        return np.asarray(-np.logaddexp(0, 3 - 2 * m) - 0.05 * m**2)

    fine = np.linspace(-8, 8, 641)
    from scipy.interpolate import Akima1DInterpolator

    for step in (1, 2):
        points = M[::step]
        read = Akima1DInterpolator(points, curve(points), method="makima")(fine)
        bound = interpolation_error(points, curve(points), fine)
        assert (np.abs(read - curve(fine)) <= bound + 1e-12).mean() > 0.9
        assert bound[np.isin(fine, points)] == pytest.approx(0, abs=1e-12)
    assert interpolation_error(M, curve(M), fine).max() < interpolation_error(M[::2], curve(M[::2]), fine).max()
    assert np.isinf(interpolation_error(M[:3], curve(M[:3]), np.array([-7.5]))).all()


@pytest.mark.skipif(not CASES.is_dir(), reason="no ../shared/cases")
@pytest.mark.parametrize(
    ("file", "direction", "low", "high"),
    [
        ("veto200.csv", "raise", 3.3, 4.5),
        ("style_outweighs.csv", "raise", 0.5, 8.0),
        ("style_outweighs.csv", "lower", -8.0, -0.5),
        ("v_split.parquet", "raise", 4.0, 9.0),
        ("c_dm.parquet", "raise", 0.3, 1.0),
        ("c_dm_coarse.parquet", "raise", 0.3, 1.0),
        ("c_lw_split.parquet", "raise", 0.5, 1.5),
    ],
)
def test_sweeps_that_went_wrong(file: str, direction: Direction, low: float, high: float) -> None:
    (curve,) = read_curves([CASES / file])
    advice = from_pairs(curve, direction=direction)
    assert advice.m is not None, advice.reason
    assert low <= advice.m <= high
