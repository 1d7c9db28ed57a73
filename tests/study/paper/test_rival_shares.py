"""The share of cells in which a curve is best counts the cells in which it could not be fitted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from easyedit_split.study.paper.bench import write_json
from easyedit_split.study.paper.plan import StudyCell, runs_of
from easyedit_split.study.paper.r2_entries import rival_entries
from easyedit_split.study.paper.records import RivalRecord, plain_rows

from .tiny_study import SPLIT, tiny_plan


@pytest.mark.parametrize("fitted", [True, False])
def test_shares_of_all_curves_sum_to_one(tmp_path: Path, fitted: bool) -> None:
    plan = replace(tiny_plan(tmp_path), cells=(SPLIT, StudyCell("lora", "sft")))
    for bic, run in enumerate(runs_of(tmp_path, plan)):
        rivals = [RivalRecord("preference", "linear", 0.5, float(bic))]
        if bic or fitted:  # of the first cell there is no such curve, unless it could be fitted
            rivals.append(RivalRecord("preference", "switch", 0.9, 0.5))
        run.paths.folder.mkdir(parents=True)
        write_json(run.paths.rivals, plain_rows(rivals))
    found = {
        row[2]: entry.values
        for (row, column), entry in rival_entries(tmp_path, plan).entries.items()
        if "best" in column
    }
    assert found["linear"] == (1.0, 0.0)
    assert sorted(found["switch"]) == [0.0, 1.0]
