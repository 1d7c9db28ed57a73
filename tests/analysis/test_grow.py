"""The grid that reaches the decay by itself: on planted curves the share lost is what the formula says, and it ends."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from easyedit_split.analysis.fit.curves import CurveParams, utility_curve
from easyedit_split.analysis.grow import FACTOR, GrowOutward, decay_report, decay_shown, one_after_another
from easyedit_split.sweep_curves import curves_of

PLANTED = CurveParams(0.0, 150.0, -220.0, 0.0, 2.0, 1.1, 0.0, 1.0, 0.8)


def scored(m: np.ndarray) -> pd.DataFrame:
    """Three pairs whose mean utility follows the planted curve."""
    rows = [
        {"m1": v, "m2": v, "pair": pair, "pref": v, "util": u + shift}
        for v, u in zip(m, utility_curve(m, PLANTED), strict=True)
        for pair, shift in enumerate((-4.0, 0.0, 4.0))
    ]
    return pd.DataFrame(rows)


def grown(start: np.ndarray, limit: float) -> np.ndarray:
    m = start
    grow = GrowOutward(limit)
    while points := grow(scored(m)):
        assert len(m) < 100
        m = np.union1d(m, [p[0] for p in points])
    return m


def test_the_share_lost_is_the_formulas() -> None:
    m = np.linspace(-6, 6, 41)
    low, high = decay_shown(curves_of(scored(m))[0])
    top = PLANTED.beta + PLANTED.b
    for side in (low, high):
        true = (top - utility_curve(np.array([side.m]), PLANTED)[0]) / PLANTED.beta
        assert side.lost == pytest.approx(true, abs=0.01)
        assert side.reached
    narrow = decay_shown(curves_of(scored(np.linspace(-0.5, 0.5, 41)))[0])
    assert not any(side.reached for side in narrow)


def test_a_grid_grows_until_both_sides_show_the_decay_and_no_further() -> None:
    m = grown(np.linspace(-1, 1, 15), limit=100.0)
    low, high = decay_shown(curves_of(scored(m))[0])
    assert low.reached
    assert high.reached
    for end, inner in ((m[-1], m[m < m[-1]]), (m[0], m[m > m[0]])):
        before = decay_shown(curves_of(scored(inner))[0])[1 if end > 0 else 0]
        assert not before.reached or before.lost < 0.85  # the outermost m was needed, give or take the fit


def test_a_side_that_was_not_swept_stays_so() -> None:
    m = grown(np.linspace(0, 1, 12), limit=50.0)
    assert m[0] == 0
    assert decay_shown(curves_of(scored(m))[0])[1].reached


def test_a_flat_curve_stops_at_the_limit() -> None:
    table = scored(np.linspace(-1, 1, 11)).assign(util=-3.0)
    m = 1.0
    for _ in range(50):
        points = GrowOutward(10.0)(table)
        if not points:
            break
        m = max(p[0] for p in points)
        wider = pd.concat([table, *(table[table.m1 == 0].assign(m1=p[0], m2=p[0]) for p in points)])
        table = wider.reset_index(drop=True)
    assert m <= 10.0 < m * FACTOR
    assert "wider sweep" in decay_report(curves_of(table)[0]) or "could not be fitted" in decay_report(
        curves_of(table)[0]
    )


def test_the_report_says_what_is_shown() -> None:
    wide = decay_report(curves_of(scored(np.linspace(-6, 6, 41)))[0])
    assert "% of its range at m = -6" in wide
    assert wide.endswith("the decay is shown")
    narrow = decay_report(curves_of(scored(np.linspace(-0.5, 0.5, 41)))[0])
    assert narrow.endswith("a wider sweep would show more of it")


def test_the_next_rule_begins_where_the_first_is_done() -> None:
    table = scored(np.linspace(-1, 1, 11))
    rule = one_after_another(lambda t: ((2.0, 2.0),) if 2.0 not in set(t.m1) else (), lambda t: ((3.0, 3.0),))
    assert rule(table) == ((2.0, 2.0),)
    assert rule(pd.concat([table, table[table.m1 == 0].assign(m1=2.0)])) == ((3.0, 3.0),)
    assert one_after_another()(table) == ()
