"""m at which losses are not finite: left out of every reading of a sweep, by name, and the rest is as without them."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from easyedit_split.analysis import fit_sweep, read_sweep, recommend
from easyedit_split.sweep_curves import curves_of, mean_curve
from easyedit_split.sweep_table import finite_points, write_table
from easyedit_split.types import DataError

M = np.linspace(-6, 6, 13)


def sweep(overflow: bool = True) -> pd.DataFrame:
    """Two pairs over m, planted; one loss of the largest m is not finite."""
    rows = []
    for pair in range(2):
        for m in M:
            L_p, L_n = 10 - m + 0.3 * m**2 + pair, 11 + m + 0.3 * m**2
            rows.append({"pair": pair, "m1": m, "m2": m, "L_p": L_p, "L_n": L_n, "T_p": 3, "T_n": 3})
    table = pd.DataFrame(rows).assign(status="ok", concept="")
    table["pref"] = table["L_n"] - table["L_p"]
    table["util"] = np.log(np.exp(-table["L_p"]) + np.exp(-table["L_n"]))
    if overflow:
        bad = (table["m1"] == M[-1]) & (table["pair"] == 0)
        table.loc[bad, ["L_p", "pref", "util"]] = np.nan
        table.loc[bad, "status"] = "non_finite"
    return table


def test_the_rest_is_read_as_without_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    wanted = sweep(overflow=False)
    wanted = wanted[wanted["m1"] < M[-1]].reset_index(drop=True)
    for suffix in (".parquet", ".csv", ".json"):
        write_table(sweep(), tmp_path / f"s{suffix}")
        with caplog.at_level(logging.WARNING):
            (found,) = curves_of(read_sweep(tmp_path / f"s{suffix}"), f"s{suffix}")
        assert f"s{suffix}: left out m1 = 6, where losses are not finite (status non_finite)" in caplog.text
        (plain,) = curves_of(wanted)
        for kind in ("preference", "utility"):
            np.testing.assert_array_equal(found.table(kind).m, plain.table(kind).m)
            np.testing.assert_allclose(found.table(kind).mean, plain.table(kind).mean, rtol=1e-12)
        assert found.excluded == ()
    pd.testing.assert_frame_equal(mean_curve(finite_points(sweep())), mean_curve(wanted))
    assert recommend(sweep()).m == recommend(wanted).m
    assert len(fit_sweep(curves_of(sweep()))) == 1


def test_a_value_that_is_not_said_to_be_overflow_is_still_refused() -> None:
    for status in ("ok", "utility_undefined"):
        with pytest.raises(DataError, match="row 13: pref is nan; it must be a finite number"):
            curves_of(sweep().assign(status=status))
    with pytest.raises(DataError, match=r"at every m .* losses are not finite"):
        curves_of(sweep().assign(status="non_finite"))
