"""Side effects and judged texts beside a sweep: what they allow, what they choose, and bad tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from easyedit_split.analysis import Budget, Collateral, JudgedTexts, default_aim, fit_sweep, from_pairs, recommend
from easyedit_split.types import ConfigError, DataError
from tests.analysis.planted import sweep_curve

M = np.linspace(-4.0, 4.0, 17)


def item() -> object:
    """Twelve pairs whose wanted answers are likeliest near m = 3."""
    own = np.linspace(-1, 1, 12)[:, None]
    (fit,) = fit_sweep([sweep_curve(-4 + own + 2 * M, np.tile(-5 - 0.05 * M**2, (12, 1)), M)], keep_going=True)
    return fit


def effects(most: float = 0.25) -> Collateral:
    rows = [(m, 10 * 0.1 * m * m * (1 + 0.1 * p), 10) for m in (-4.0, -2.0, 1.0, 2.0, 4.0) for p in (-1, 1)]
    return Collateral.of(pd.DataFrame(rows, columns=["m1", "kl", "tokens"]), most)


def judged(best: float = 1.0, gain: float = 1.0, prompts: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        {
            "m1": m,
            "prompt": p,
            "overall": 0.5 + gain * np.exp(-((m - best) ** 2)) + 0.1 * rng.normal(),
            "text": f"at {m}",
        }
        for m in (0.0, 0.5, 1.0, 2.0, 4.0)
        for p in range(prompts)
    ]
    return pd.DataFrame(rows)


def test_side_effects_limit_m() -> None:
    fit = item()
    free, limited = recommend(fit, aim="answer").m, recommend(fit, collateral=effects()).m  # type: ignore[arg-type]
    assert free is not None
    assert limited is not None
    assert effects().at(np.array([limited]))[0] == pytest.approx(0.25, abs=0.02)
    assert limited < free - 0.5
    wide = recommend(fit, collateral=effects(most=10.0)).m  # type: ignore[arg-type]
    assert wide == pytest.approx(free), "control"
    assert "within the budget" in recommend(fit, collateral=effects(1e-6)).reason  # type: ignore[arg-type]


def test_kl_is_read_in_straight_lines_and_never_beyond() -> None:
    kl = effects()
    assert kl.at(np.array([0.0, 1.0, 1.5, 4.0])) == pytest.approx([0.0, 0.1, 0.25, 1.6])
    assert kl.kl_at(4.1) is None
    assert not kl.within(np.array([4.1])).any()
    assert kl.within(np.array([0.0])).all()


def test_zero_counts_as_measured_also_where_one_side_alone_was() -> None:
    """The KL of the side that is steered to, whose least m is already over the budget: a smaller m is within it."""
    one_sided = Collateral(np.array([1.0, 2.0]), np.array([0.4, 0.9]), most=0.2)
    assert one_sided.at(np.array([0.0, 0.25, 0.5, 1.0])) == pytest.approx([0.0, 0.1, 0.2, 0.4])
    assert one_sided.within(np.array([0.25, 0.75])).tolist() == [True, False]
    assert not one_sided.within(np.array([-0.1, 2.1])).any(), "control: beyond what was measured"
    advice = recommend(item(), collateral=one_sided)  # type: ignore[arg-type]
    assert advice.m == pytest.approx(0.5, abs=0.05)
    other = Collateral(np.array([-2.0, -1.0]), np.array([0.9, 0.4]), most=0.2)
    assert other.within(np.array([-0.5, 0.1])).tolist() == [True, False]


def test_texts_that_tell_choose_the_judged_m_that_is_best() -> None:
    texts = JudgedTexts.of(judged())
    advice = recommend(item(), texts=texts)  # type: ignore[arg-type]
    assert advice.m == 1.0
    assert advice.method == "texts"
    assert advice.m_interval is not None
    assert advice.m_interval.low <= 1.0 <= advice.m_interval.high < 2.0
    assert "texts are best here" in advice.reason
    assert texts.samples[texts.nearest(1.2)] == "at 1.0"


def test_texts_that_get_worse_or_are_few_give_no_m() -> None:
    fit = item()
    worse = recommend(fit, texts=JudgedTexts.of(judged(best=2.0, gain=-1.0)))  # type: ignore[arg-type]
    assert worse.m is None or worse.m <= 0.5 or worse.m == 4.0
    ruin = judged(gain=0.0)
    ruin.loc[ruin.m1 != 0, "overall"] = 0.0
    assert "no judged m has better texts" in recommend(fit, texts=JudgedTexts.of(ruin)).reason  # type: ignore[arg-type]
    few = recommend(fit, texts=JudgedTexts.of(judged(prompts=3)))  # type: ignore[arg-type]
    assert few.m is None
    assert "judge about 6" in few.reason


def flat(ruined: float) -> JudgedTexts:
    """Texts that are all alike, but nothing from an m on."""
    table = judged(gain=0.0)
    table["overall"] = np.where(table.m1 >= ruined, 0.0, 1.0)
    return JudgedTexts.of(table)


def test_among_texts_that_are_as_good_the_pairs_choose() -> None:
    fit = item()
    by_pairs = recommend(fit, aim="answer").m  # type: ignore[arg-type]
    assert by_pairs is not None
    assert 2 < by_pairs < 4
    free = recommend(fit, texts=flat(ruined=9.0))  # type: ignore[arg-type]
    assert free.m == pytest.approx(by_pairs, abs=0.05)
    assert "it is the pairs that tell it from no steering" in free.reason
    kept = recommend(fit, texts=flat(ruined=4.0))  # type: ignore[arg-type]
    assert kept.m == 2.0, "beyond it lies an m whose texts are ruined"


def test_neither_texts_nor_pairs_show_anything() -> None:
    own = np.linspace(-1, 1, 12)[:, None] * M
    idle = sweep_curve(-4 + own, np.tile(-5 - 0.05 * M**2, (12, 1)), M)
    (fit,) = fit_sweep([idle], keep_going=True)
    advice = recommend(fit, texts=flat(ruined=9.0))
    assert advice.m is None
    assert "not significant" in advice.reason or "no judged m" in advice.reason


def test_all_there_is_is_weighed() -> None:
    texts = JudgedTexts.of(judged())
    assert default_aim(None, None, None) == "capped"
    assert default_aim(Budget(), None, None) == "preference"
    assert default_aim(None, effects(), None) == "kl"
    assert default_aim(None, effects(), texts) == "text"


def test_an_aim_without_what_it_needs_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs side effects"):
        recommend(item(), aim="kl")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="needs judged texts"):
        recommend(item(), aim="text")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="positive number"):
        effects(0.0)
    assert from_pairs(item().curve, aim="capped").m is not None  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: pd.concat([t, t.iloc[:1]]), "judged twice"),
        (lambda t: t.iloc[1:], "is not judged at m = 0"),
        (lambda t: t[t.m1 != 0], "texts at m = 0 are missing"),
        (lambda t: t.drop(columns="overall"), "column 'overall' is missing"),
        (lambda t: t.assign(overall="good"), "overall is 'good'; it must be a finite number"),
        (lambda t: t.iloc[:0], "the table has no rows"),
    ],
)
def test_bad_tables_are_one_sentence(tmp_path: Path, change: object, words: str) -> None:
    file = tmp_path / "texts.csv"
    change(judged()).to_csv(file, index=False)  # type: ignore[operator]
    with pytest.raises(DataError, match=words):
        JudgedTexts.read(file)
    judged().to_csv(file, index=False)
    assert JudgedTexts.read(file).overall.shape == (12, 5), "control"


def test_texts_beyond_the_sweep_are_refused() -> None:
    far = judged()
    far["m1"] *= 2
    with pytest.raises(DataError, match="the sweep covers -4 to 4 only"):
        recommend(item(), texts=JudgedTexts.of(far))  # type: ignore[arg-type]


def test_limits_that_are_named_hold_under_texts_too() -> None:
    fit, texts = item(), JudgedTexts.of(judged())
    free = recommend(fit, texts=texts)  # type: ignore[arg-type]
    assert free.m is not None
    assert free.m != 0
    none = recommend(fit, texts=texts, collateral=Collateral(texts.m, np.abs(texts.m), 1e-9))  # type: ignore[arg-type]
    assert none.m is None
    assert "within the budget" in none.reason
    loose = recommend(fit, texts=texts, collateral=Collateral(texts.m, np.abs(texts.m), 1e9))  # type: ignore[arg-type]
    assert loose.m == free.m
    with pytest.raises(ConfigError, match="takes no limit on side effects"):
        recommend(fit, aim="preference", collateral=Collateral(texts.m, np.abs(texts.m), 1.0))  # type: ignore[arg-type]
