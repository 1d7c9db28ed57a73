"""Figures over r show the curves over m in another unit."""

from __future__ import annotations

import numpy as np
import pytest

from easyedit_split.analysis import fit_curve, fit_sweep
from easyedit_split.study.paper.figures import over_r
from easyedit_split.study.paper.plan import runs_of
from easyedit_split.sweep_curves import curves_of
from easyedit_split.sweep_table import read_sweep

from .tiny_study import Made


def test_a_fit_over_r_is_the_fit_over_m_in_another_unit(made: Made) -> None:
    folder, plan = made
    (run,) = (run for run in runs_of(folder, plan) if run.cell.name == "lora-split")
    (fitted,) = fit_sweep(curves_of(read_sweep(run.paths.sweep("test"))), keep_going=True)
    unit, scaled = fitted.curve.r_per_m, over_r(fitted)
    assert unit is not None
    assert unit != pytest.approx(1.0, rel=0.1)
    assert scaled.curve.r_per_m is None
    m = np.linspace(-1.5, 2, 9) / unit
    for kind in ("preference", "utility"):
        before, after = fitted.fit(kind), scaled.fit(kind)
        assert before is not None
        assert after is not None
        assert after(m * unit) == pytest.approx(before(m), abs=1e-9)
        assert after(m) != pytest.approx(before(m), abs=1e-3), "control: the units differ"
        table = scaled.curve.table(kind)
        assert after.m == pytest.approx(table.m)
        anew = fit_curve(table.m, table.mean, kind)
        assert anew.r2 == pytest.approx(after.r2, abs=1e-6)
