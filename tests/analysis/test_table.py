"""Sweep tables: any file format, the means of the paper, exclusions counted, faults named by row."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from easyedit_split.analysis import curves_of, read_curves, read_sweep
from easyedit_split.analysis.fit.curves import preference_curve
from easyedit_split.types import DataError
from tests.analysis.planted import PREF, M, sweep_table

KEYS = [{"model": "a", "form": "lora", "concept": c} for c in ("x", "y")]


@pytest.fixture
def table() -> pd.DataFrame:
    return sweep_table(np.random.default_rng(0), KEYS)


@pytest.mark.parametrize("suffix", ["parquet", "csv", "json"])
def test_files_of_every_format_give_the_same_curves(table: pd.DataFrame, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"sweep.{suffix}"
    writers: dict[str, Callable[[Path], object]] = {
        "parquet": lambda p: table.to_parquet(p),
        "csv": lambda p: table.to_csv(p, index=False),
        "json": lambda p: table.to_json(p, orient="records", double_precision=15),
    }
    writers[suffix](path)
    (read,), (direct,) = read_curves([path]), curves_of(table)
    assert read.key == direct.key
    assert read.preference.mean == pytest.approx(direct.preference.mean, abs=1e-12)


def test_mean_over_pairs_then_over_concepts(table: pd.DataFrame) -> None:
    fewer = table[~((table["concept"] == "y") & (table["pair"] != "0"))]
    (curve,) = curves_of(fewer)
    by_concept = fewer.groupby(["concept", "m1"])["pref"].mean().groupby("m1").mean()
    assert curve.preference.mean == pytest.approx(by_concept.to_numpy(), abs=1e-12)
    assert curve.preference.mean != pytest.approx(fewer.groupby("m1")["pref"].mean().to_numpy(), abs=1e-3)
    assert curve.preference.weights.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(("column", "value"), [("util", np.nan), ("util", np.inf), ("status", "utility undefined")])
def test_a_pair_without_utility_is_left_out_everywhere_and_listed(table: pd.DataFrame, column: str, value: Any) -> None:
    table[column] = table[column].mask(table.index == 7, value)
    (curve,) = curves_of(table)
    assert curve.excluded == ("x 0",)
    assert curve.utility is not None
    assert curve.utility.values.shape == (11, 41)
    assert curve.preference.values.shape == (12, 41)
    assert 0 not in curve.kept
    assert curves_of(sweep_table(np.random.default_rng(0), KEYS))[0].excluded == ()


def test_utility_that_nobody_has_is_said() -> None:
    table = sweep_table(np.random.default_rng(0), KEYS)
    table["util"] = np.nan
    (curve,) = curves_of(table)
    assert curve.utility is None
    with pytest.raises(DataError, match="undefined for all 12 pairs"):
        curve.table("utility")


def test_only_three_columns_are_needed() -> None:
    (curve,) = curves_of(pd.DataFrame({"m1": M, "pref": preference_curve(M, PREF), "util": -np.abs(M)}))
    assert not curve.preference.has_pairs
    assert np.array_equal(curve.preference.mean, preference_curve(M, PREF))


def test_every_key_column_splits() -> None:
    keys = [{"model": "a", "seed": s, "placement": p, "split": t} for s in "01" for p in "pq" for t in "uv"]
    assert len(curves_of(sweep_table(np.random.default_rng(0), keys, n_pairs=2))) == 8


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda t: t.drop(columns="pref"), "column 'pref' is missing"),
        (lambda t: t.iloc[:0], "no rows"),
        (lambda t: t.assign(pref=t["pref"].mask(t.index == 4)), "row 5: pref is nan"),
        (lambda t: t.assign(m1=t["m1"].astype(object).mask(t.index == 4, "four")), "row 5: m1 is 'four'"),
        (lambda t: t.assign(util=t["util"].astype(object).mask(t.index == 4, "?")), "row 5: util is '\\?'"),
        (lambda t: pd.concat([t, t.iloc[[3]]]), "more than once at m1 = -17"),
        (lambda t: t.drop(index=3), "no row at m1 = -17"),
        (lambda t: t.drop(columns="pair"), "needs a column 'pair'"),
        (lambda t: t.assign(m2=np.arange(len(t))), "several m2"),
    ],
    ids=["column", "empty", "nan", "text", "text util", "twice", "hole", "no pair", "m2"],
)
def test_faults_are_named(table: pd.DataFrame, spoil, sentence: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError, match=sentence):
        curves_of(spoil(table), "sweep.csv")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.xlsx", b"", "use .parquet, .csv, .json"),
        ("a.parquet", b"no", "not readable as Parquet"),
        ("a.csv", None, "no such"),
    ],
)
def test_files_that_cannot_be_read(name: str, content: bytes | None, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        read_sweep(path)


def test_csv_and_json_keep_every_bit_and_a_concept_called_na(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "m1": [-1 / 3, 0.0, 0.1 + 0.2],
            "concept": ["NA", "NA", "NA"],
            "pair": [7, 7, 7],
            "pref": [1 / 7, -2 / 3, 1e-300],
            "util": [-np.pi, float("nan"), 5.0],
        }
    )
    table.to_csv(tmp_path / "t.csv", index=False)
    records = table.astype(object).where(table.notna(), None).to_dict("records")
    (tmp_path / "t.json").write_text(json.dumps(records))
    for name in ("t.csv", "t.json"):
        read = read_sweep(tmp_path / name)
        assert (read["m1"] == table["m1"]).all()
        assert (read["pref"] == table["pref"]).all()
        assert read["util"].isna().tolist() == [False, True, False]
        assert read["concept"].tolist() == ["NA"] * 3
    (tmp_path / "bad.csv").write_text("m1,pref,util\n0,much,1\n")
    with pytest.raises(DataError, match="much"):
        read_sweep(tmp_path / "bad.csv")
