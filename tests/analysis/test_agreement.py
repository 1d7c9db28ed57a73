"""Agreement of judges: against scikit-learn and by hand; what one did not grade does not count."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from easyedit_split.analysis.agreement import agreement, kappa
from easyedit_split.types import DataError


def table(grades: list[float], **more: list[object]) -> pd.DataFrame:
    n = len(grades)
    rows = {"m1": [float(k % 2) for k in range(n)], "prompt": [k // 2 for k in range(n)], "concept": [""] * n}
    return pd.DataFrame({**rows, "text": [f"text {k}" for k in range(n)], "fluency": grades, **more})


def test_kappa_is_scikit_learns() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    x = rng.integers(0, 3, 200)
    y = np.where(rng.random(200) < 0.6, x, rng.integers(0, 3, 200))
    ours = kappa(x.astype(float), y.astype(float))
    assert ours == pytest.approx(metrics.cohen_kappa_score(x, y, weights="quadratic"), abs=1e-12)
    assert 0.3 < ours < 0.9, "control: neither chance nor agreement"


def test_judges_that_agree_disagree_and_say_nothing() -> None:
    grades = [0.0, 1.0, 2.0, 2.0, 1.0, 0.0]
    same = agreement(table(grades), table(grades)).iloc[0]
    assert (same["n"], same["spearman"], same["kappa"]) == (6, pytest.approx(1), 1.0)
    other = agreement(table(grades), table([2 - g for g in grades])).iloc[0]
    assert other["spearman"] == pytest.approx(-1)
    assert other["kappa"] < -0.5
    flat = agreement(table(grades), table([1.0] * 6)).iloc[0]
    assert np.isnan(flat["spearman"])
    assert np.isnan(flat["kappa"])
    assert flat["mean_other"] == 1.0


def test_a_missing_grade_does_not_count_and_order_does_not_matter() -> None:
    grades = [0.0, 1.0, 2.0, 2.0, 1.0, 0.0]
    gap = [0.0, 1.0, 2.0, float("nan"), 1.0, 0.0]
    found = agreement(table(grades).iloc[::-1], table(gap)).iloc[0]
    assert found["n"] == 5
    assert found["kappa"] == 1.0


def test_scales_are_what_both_have_as_numbers() -> None:
    a = table([0.0, 1.0], cut_off=[True, False], pair=[1, 2], carries=[0.0, 2.0])
    b = table([1.0, 1.0], cut_off=[True, True], pair=[1, 2], instruction=[0.0, 2.0])
    assert agreement(a, b)["scale"].tolist() == ["fluency"]


def test_tables_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(DataError, match="share no text"):
        agreement(table([0.0]), table([0.0]).assign(text="another"))
    with pytest.raises(DataError, match="no scale in common"):
        agreement(table([0.0]), table([0.0]).rename(columns={"fluency": "power"}))
    with pytest.raises(DataError, match="no column 'text'"):
        agreement(table([0.0]).drop(columns="text"), table([0.0]))
    twice = pd.concat([table([0.0]), table([1.0])])
    with pytest.raises(DataError, match="graded twice"):
        agreement(twice, table([0.0]))
