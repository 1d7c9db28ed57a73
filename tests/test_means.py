"""The mean curve of a sweep, by hand and against the analysis' own means."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import easyedit_split
from easyedit_split import log_odds
from easyedit_split.analysis import curves_of
from easyedit_split.cli import console as common
from easyedit_split.cli import summary
from easyedit_split.sweep_curves import mean_curve
from easyedit_split.types import ConfigError, DataError

GRID = (2.0, -1.0, 0.0)
SIZES = {"one": 1, "three": 3, "five": 5}


def table(sizes: dict[str, int] | None = None, m: tuple[float, ...] = GRID, normalize: str = "sum") -> pd.DataFrame:
    """A sweep of random losses; pairs are numbered anew in every concept."""
    rng = np.random.default_rng(0)
    rows = [
        {"concept": concept, "pair": pair, "m1": value, "m2": value, "L_p": rng.uniform(2, 9), "L_n": rng.uniform(2, 9),
         "T_p": rng.integers(2, 4), "T_n": rng.integers(1, 5)}
        for concept, size in (sizes or SIZES).items() for pair in range(size) for value in m
    ]  # fmt: skip
    return with_odds(pd.DataFrame(rows), normalize)


def with_odds(rows: pd.DataFrame, normalize: str = "sum") -> pd.DataFrame:
    L_p, L_n = (rows[f"L_{s}"].to_numpy() / (1 if normalize == "sum" else rows[f"T_{s}"].to_numpy()) for s in "pn")
    odds = {name: getattr(log_odds, name) for name in ("preference", "utility", "status")}
    return rows.assign(
        pref=odds["preference"](L_p, L_n), util=odds["utility"](L_p, L_n), status=odds["status"](L_p, L_n)
    )


def one_and_three() -> pd.DataFrame:
    """Preference 10 in a concept of one pair, 0 in one of three; utility likewise 4 and 2, at two m."""
    rows = [("one", 0, 10.0, 4.0), *(("three", pair, 0.0, 2.0) for pair in range(3))]
    return pd.DataFrame(
        [
            {"concept": c, "pair": p, "m1": m, "m2": m, "pref": pref, "util": util, "status": "ok"}
            for m in (0.0, 1.0)
            for c, p, pref, util in rows
        ]
    )


def undefine(sweep: pd.DataFrame, concept: str, pair: int, m: float) -> pd.DataFrame:
    at = (sweep.concept == concept) & (sweep.pair == pair) & (sweep.m1 == m)
    assert at.sum() == 1
    return sweep.assign(util=sweep.util.mask(at), status=sweep.status.mask(at, "utility_undefined"))


def test_over_pairs_then_over_concepts() -> None:
    curve = mean_curve(one_and_three())
    assert curve.pref.tolist() == [5.0, 5.0]
    assert curve.util.tolist() == [3.0, 3.0]
    assert curve.m1.tolist() == curve.m2.tolist() == [0.0, 1.0]
    assert set(curve.pairs) == {4}
    assert set(curve.excluded) == {0}
    assert one_and_three().groupby("m1").pref.mean().tolist() == [2.5, 2.5]  # over pairs alone it is another number


def test_a_pair_without_utility_at_one_m_is_left_out_of_it_at_every_m() -> None:
    sweep = one_and_three()
    sweep.loc[(sweep.concept == "three") & (sweep.pair == 2), "util"] = 8.0
    curve = mean_curve(undefine(sweep, "three", 2, 1.0))
    assert curve.util.tolist() == [3.0, 3.0]
    assert curve.pref.tolist() == [5.0, 5.0]
    assert set(curve.excluded) == {1}
    assert mean_curve(sweep).util.tolist() == [4.0, 4.0]


def test_a_concept_that_has_no_utility_does_not_count_as_one() -> None:
    assert mean_curve(undefine(one_and_three(), "one", 0, 0.0)).util.tolist() == [2.0, 2.0]
    nothing = one_and_three().assign(util=np.nan, status="utility_undefined")
    assert mean_curve(nothing).util.isna().all()
    assert set(mean_curve(nothing).excluded) == {4}


@pytest.mark.parametrize("undefined", [0, 1, 4])
@pytest.mark.parametrize("shuffled", [False, True])
def test_it_is_the_analysis_own_curve(undefined: int, shuffled: bool) -> None:
    sweep = table()
    for pair in range(undefined):
        sweep = undefine(sweep, "five", pair, GRID[pair % 3])
    if shuffled:
        sweep = sweep.sample(frac=1, random_state=1)
    curve, (own,) = mean_curve(sweep), curves_of(sweep)
    assert own.utility is not None
    np.testing.assert_array_equal(curve.m1, own.preference.m)
    np.testing.assert_allclose(curve.pref, own.preference.mean, rtol=1e-14)
    np.testing.assert_allclose(curve.util, own.utility.mean, rtol=1e-14)
    assert set(curve.excluded) == {len(own.excluded)} == {undefined}


@pytest.mark.parametrize("normalize", ["sum", "mean"])
def test_odds_of_the_mean_losses_of_each_concept(normalize: str) -> None:
    sweep = table(normalize=normalize)
    curve = mean_curve(sweep, "odds_of_mean").set_index("m1")
    for m in GRID:
        pref, util = [], []
        for concept in SIZES:
            rows = sweep[(sweep.m1 == m) & (sweep.concept == concept)]
            L_p, L_n = (rows[f"L_{s}"] / (1 if normalize == "sum" else rows[f"T_{s}"]) for s in "pn")
            pref.append(L_n.mean() - L_p.mean())
            util.append(float(log_odds.utility(np.array([L_p.mean()]), np.array([L_n.mean()]))[0]))
        assert curve.pref[m] == pytest.approx(np.mean(pref), rel=1e-12)
        assert curve.util[m] == pytest.approx(np.mean(util), rel=1e-12)
        assert curve.util[m] != pytest.approx(mean_curve(sweep).set_index("m1").util[m], rel=1e-3)


def test_a_concept_whose_mean_losses_have_no_utility_is_left_out_with_all_its_pairs() -> None:
    sweep = table()
    at = (sweep.concept == "three") & (sweep.m1 == 0.0)
    sweep = with_odds(sweep.assign(L_p=sweep.L_p.mask(at, 0.1), L_n=sweep.L_n.mask(at, 0.1)))
    curve = mean_curve(sweep, "odds_of_mean")
    assert set(curve.excluded) == {3}
    without = mean_curve(sweep[sweep.concept != "three"], "odds_of_mean")
    assert curve.util.tolist() == without.util.tolist()
    assert curve.pref.tolist() != without.pref.tolist()


def test_m1_and_m2_apart_are_points_of_their_own() -> None:
    sweep = pd.concat([table().assign(m2=m2) for m2 in (0.0, 1.0)])
    curve = mean_curve(sweep)
    assert list(zip(curve.m1, curve.m2, strict=True)) == [(m1, m2) for m1 in sorted(GRID) for m2 in (0.0, 1.0)]


def test_a_loss_that_is_not_finite_shows() -> None:
    sweep = table()
    sweep.loc[0, ["pref", "util", "status"]] = np.inf, np.nan, "non_finite"
    curve = mean_curve(sweep).set_index("m1")
    assert curve.pref[GRID[0]] == np.inf
    assert np.isfinite(curve.pref[GRID[1]])
    assert np.isfinite(curve.util).all()


def test_three_columns_are_enough() -> None:
    curve = mean_curve(pd.DataFrame({"m1": [0.0, 1.0], "pref": [1.0, 2.0], "util": [3.0, np.nan]}))
    assert curve.pref.tolist() == [1.0, 2.0]
    assert set(curve.excluded) == {1}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t: t.drop(columns="pref"), "no column 'pref'"),
        (lambda t: t[:0], "no rows"),
        (lambda t: pd.concat([t, t]), "pair 0 appears more than once at m1 = 2"),
        (lambda t: t[1:], "26 rows for 9 pairs at 3 m"),
    ],
)
def test_what_is_no_whole_sweep_is_refused(change: Any, match: str) -> None:
    with pytest.raises(DataError, match=match):
        mean_curve(change(table()))


def test_odds_of_mean_needs_the_losses_that_the_odds_come_from() -> None:
    with pytest.raises(DataError, match="lacks a column of L_p"):
        mean_curve(table().drop(columns="T_p"), "odds_of_mean")
    with pytest.raises(DataError, match="neither L_n - L_p nor that per token"):
        mean_curve(table().assign(L_p=1.0), "odds_of_mean")
    with pytest.raises(ConfigError, match=r"'odds of mean'.*did you mean 'odds_of_mean'"):
        mean_curve(table(), "odds of mean")


def test_it_is_a_public_name() -> None:
    assert easyedit_split.mean_curve is mean_curve


# --- as the commands print it --------------------------------------------------------------------------------------


def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *args: Any, **settings: Any) -> str:
    for console in (common.out, common.console):
        monkeypatch.setattr(console, "_width", 200)
    summary.print_summary(*args, **settings)
    captured = capsys.readouterr()
    return captured.out + captured.err


def test_the_printed_means_are_these(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    text = printed(capsys, monkeypatch, undefine(one_and_three(), "three", 0, 1.0))
    assert "mean of 4 pairs of 2 concepts" in " ".join(text.split())
    assert text.count("+5.00") == text.count("+3.00") == 2
    assert "undefined at some m for 1 of 4 pairs" in text
    whole = printed(capsys, monkeypatch, one_and_three())
    assert "undefined" not in whole


def test_odds_of_mean_losses_are_printed_when_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [printed(capsys, monkeypatch, table(), aggregate=how) for how in ("pairs", "odds_of_mean")]
    for text, how in zip(texts, ("pairs", "odds_of_mean"), strict=True):
        assert f"{mean_curve(table(), how).util[0]:+.2f}" in text
    assert ["log-odds of the mean losses" in text for text in texts] == [False, True]


@pytest.mark.parametrize(("points", "lines"), [(1, (1,)), (13, (13,)), (41, (13, 14))])
def test_a_long_sweep_is_thinned_with_both_ends_kept(
    points: int, lines: tuple[int, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = tuple(float(m) for m in range(100, 100 + points))
    text = printed(capsys, monkeypatch, table(m=grid))
    rows = [line for line in text.splitlines() if line.strip().startswith("1")]
    assert len(rows) in lines  # the best m is always among them
    assert rows[0].split()[0] == "100"
    assert rows[-1].split()[0] == str(99 + points)
