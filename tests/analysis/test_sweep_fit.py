"""Records of fitted sweeps: every curve and kind has one, also those that could not be fitted; counts are exact."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from easyedit_split.analysis import curves_of, fit_sweep, fit_table, fits_json, region_intervals, spread_of
from easyedit_split.analysis.fit.curves import preference_curve, utility_curve
from easyedit_split.analysis.fit.sweep_fit import SweepFit, fit_records
from easyedit_split.types import ConfigError
from tests.analysis.planted import PREF, UTIL, M, sweep_table

KEYS = [{"model": "x", "concept": c} for c in ("a", "b")]


def with_undefined(*pairs: str) -> pd.DataFrame:
    table = sweep_table(np.random.default_rng(0), KEYS, n_pairs=3)
    return table.assign(
        util=table["util"].mask((table["concept"] == "a") & table["pair"].isin(pairs) & (table["m1"] > 9))
    )


def test_pairs_are_counted_and_those_left_out_are_named_once() -> None:
    pref, util = fit_records(fit_sweep(curves_of(with_undefined("0", "2"))))
    assert (pref["n_pairs"], pref["n_excluded"], "excluded" in pref) == (6, 0, False)
    assert (util["n_pairs"], util["n_excluded"], util["excluded"]) == (4, 2, ["a 0", "a 2"])
    bare = pd.DataFrame({"m1": M, "pref": preference_curve(M, PREF), "util": utility_curve(M, UTIL)})
    for record in fit_records(fit_sweep(curves_of(bare))):
        assert (record["n_pairs"], record["n_excluded"]) == (None, 0)


def test_what_could_not_be_fitted_has_a_record_that_says_why() -> None:
    table = with_undefined("0", "1", "2")
    fits = fit_sweep(curves_of(table[table["concept"] == "a"]), keep_going=True)
    pref, util = json.loads(fits_json(fits))
    assert (pref["kind"], pref["ok"], pref["n_points"]) == ("preference", True, 41)
    assert (util["kind"], util["ok"], util["model"]) == ("utility", False, "x")
    assert "undefined for all 3 pairs" in util["message"]
    assert util["excluded"] == ["a 0", "a 1", "a 2"]
    assert fit_table(fits)["kind"].tolist() == ["preference"]
    untried = fit_records([SweepFit(fits[0].curve, None, None, ())])
    assert [r["message"] for r in untried] == ["x: no fit was made"] * 2


def test_each_problem_goes_with_its_own_kind() -> None:
    table = sweep_table(np.random.default_rng(1), [{"model": "x"}], n_pairs=2).assign(pref=1.0, util=2.0)
    pref, util = fit_records(fit_sweep(curves_of(table), keep_going=True))
    assert "the preference is constant (1 nats" in pref["message"]
    assert "the utility is constant (2 nats" in util["message"]


def test_intervals_are_written_where_a_spread_is_given() -> None:
    (item,) = fit_sweep(curves_of(sweep_table(np.random.default_rng(2), [{"model": "x"}])))
    varied = spread_of(item.curve, item.preference, None, method="sandwich")
    pref, util = json.loads(fits_json([item], [varied]))
    assert item.preference is not None
    expected = region_intervals(item.preference, varied)
    assert expected.slope_left is not None
    assert expected.plus is not None
    assert expected.plus.breakdown is not None
    assert pref["intervals"]["method"] == "sandwich"
    assert pref["intervals"]["slope_left"]["low"] == expected.slope_left.low
    assert pref["intervals"]["plus"]["breakdown"]["high"] == expected.plus.breakdown.high
    assert "intervals" not in util
    assert "intervals" not in json.loads(fits_json([item]))[0]
    with pytest.raises(ConfigError, match="1 fits come with 2 spreads"):
        fits_json([item], [varied, varied])
