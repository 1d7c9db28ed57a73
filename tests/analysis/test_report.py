"""Tables 2, 5 and 6 in the paper's layout, and the fits as data frame and JSON."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
import pytest

from easyedit_split.analysis import (
    curves_of,
    fit_sweep,
    fit_table,
    fits_json,
    r2_table,
    to_csv,
    to_latex,
    to_markdown,
    transfer_r2,
    transfer_table,
)
from easyedit_split.analysis.fit.fit_curve import r_squared
from easyedit_split.analysis.fit.sweep_fit import SweepFit
from easyedit_split.sweep_curves import KINDS
from easyedit_split.types import DataError
from tests.analysis.planted import sweep_table

KEYS = [
    {"model": "m_1", "dataset": d, "split": s, "form": f, "objective": o, "seed": seed}
    for f, o in (("vector", "diff_mean"), ("vector", "sft"), ("local_weight", "sft"))
    for d in ("axbench", "psychopathy")
    for s in ("train", "test")
    for seed in ("0", "1")
    if not (f == "local_weight" and d == "axbench")
]


@pytest.fixture(scope="module")
def fits() -> list[SweepFit]:
    return fit_sweep(curves_of(sweep_table(np.random.default_rng(0), KEYS, n_pairs=2)))


def test_layout_is_the_papers(fits: list[SweepFit]) -> None:
    table = r2_table(fits, "test")
    assert list(table.columns) == [
        *("Model", "Type", "Method"),
        *("Preference PSY", "Preference AXB", "Preference Avg"),
        *("Utility PSY", "Utility AXB", "Utility Avg"),
    ]
    assert table[["Type", "Method"]].to_numpy().tolist() == [
        ["Weight", "SFT"],
        ["Vector", "DiffMean"],
        ["Vector", "SFT"],
    ]
    assert np.isnan(table["Preference AXB"][0])
    assert table["Preference Avg"][0] == table["Preference PSY"][0]
    seeds = [
        item.preference.r2
        for item in fits
        if item.preference is not None and (item.curve.key.form, item.curve.key.split) == ("local_weight", "test")
    ]
    assert len(seeds) == 2
    assert table["Preference PSY"][0] == pytest.approx(np.mean(seeds), abs=1e-15)


def test_transfer_uses_train_parameters_on_test_points(fits: list[SweepFit]) -> None:
    table = transfer_table(fits)
    train, test = fits[0], fits[2]
    assert (train.curve.key.split, test.curve.key.split) == ("train", "test")
    assert train.preference is not None
    expected = r_squared(test.curve.preference.mean, train.preference(test.curve.preference.m))
    assert transfer_r2(train.preference, test.curve) == expected
    assert transfer_r2(train.preference, test.curve) != train.preference.r2
    both = [transfer_r2(fits[k].fit(kind), fits[k + 2].curve) for kind in KINDS for k in (0, 1)]  # two seeds
    (row,) = table[(table["Type"] == "Vector") & (table["Method"] == "DiffMean")].to_dict("records")
    assert row["Preference AXB"] == pytest.approx(np.mean(both[:2]), abs=1e-12)
    assert row["Utility AXB"] == pytest.approx(np.mean(both[2:]), abs=1e-12)
    other = transfer_table(fits, source="test", target="train")
    (back,) = other[(other["Type"] == "Vector") & (other["Method"] == "DiffMean")].to_dict("records")
    assert abs(back["Preference AXB"] - row["Preference AXB"]) > 1e-6


def test_negative_transfer_stays_negative(fits: list[SweepFit]) -> None:
    table = sweep_table(np.random.default_rng(1), [{"split": "test"}])
    table["pref"] = 500 - table["pref"]
    (other,) = curves_of(table)
    assert fits[0].preference is not None
    assert transfer_r2(fits[0].preference, other) < -10


def test_text_forms(fits: list[SweepFit]) -> None:
    table = r2_table(fits, "train")
    markdown, latex = to_markdown(table), to_latex(table)
    assert markdown.count("\n") == 2 + len(table)
    assert " - |" in markdown
    assert "m\\_1" in latex
    assert latex.count("\\\\") == 3 + len(table)
    back = pd.read_csv(io.StringIO(to_csv(table)))
    assert back["Utility Avg"].to_numpy() == pytest.approx(table["Utility Avg"].to_numpy(), abs=1e-12)


def test_a_missing_split_is_said(fits: list[SweepFit]) -> None:
    with pytest.raises(DataError, match="'dev'; the sweep has 'test', 'train'"):
        r2_table(fits, "dev")
    with pytest.raises(DataError, match="both splits"):
        transfer_table(fits, target="dev")


def test_json_and_frame_say_the_same(fits: list[SweepFit]) -> None:
    records, frame = json.loads(fits_json(fits)), fit_table(fits)
    assert len(records) == len(frame) == 2 * len(fits)
    assert [r["r2"] for r in records] == pytest.approx(frame["r2"].tolist())
    assert records[1]["kind"] == "utility"
    assert records[1]["params"]["alpha"] == 0.0
    assert {"plus", "minus", "unidentified", "message"} <= set(records[0])


def test_what_cannot_be_fitted_is_raised_or_noted() -> None:
    table = sweep_table(np.random.default_rng(2), [{"model": "x"}], n_pairs=2)
    table["util"] = -3.0
    with pytest.raises(DataError, match="x: the utility is constant"):
        fit_sweep(curves_of(table))
    (item,) = fit_sweep(curves_of(table), keep_going=True)
    assert item.utility is None
    assert item.preference is not None
    assert "constant" in item.problems[0]
    assert len(fit_table([item])) == 1
