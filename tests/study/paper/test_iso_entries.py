"""Gains at equal cost over several seeds: the mean, its spread, and the same pairs in every seed."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

import pandas as pd
import pytest

from easyedit_split.study.paper.iso_entries import iso_table
from easyedit_split.study.paper.plan import StudyCell, StudyPlan, runs_of
from easyedit_split.sweep_table import read_sweep, write_table

from .tiny_study import SPLIT, Made

OTHER = StudyCell("lora", "sft")
SHARE = {("split", 0): 1.0, ("split", 1): 0.5, ("sft", 0): 0.8, ("sft", 1): 0.9}
"""Of the preference that the tiny study's LoRA gains, what each run of another study gains."""


@pytest.fixture
def seeds(made: Made, tmp_path: Path) -> tuple[Path, StudyPlan]:
    """Two cells and two seeds whose preference is that of one run, times ``SHARE``."""
    source = next(run.paths for run in runs_of(*made) if run.cell.name == "lora-split")
    plan = replace(made[1], cells=(SPLIT, OTHER), seeds=(0, 1))
    for run in runs_of(tmp_path, plan):
        run.paths.folder.mkdir(parents=True)
        table = read_sweep(source.sweep("test"))
        table["pref"] *= SHARE[run.cell.objective, run.seed]
        write_table(table, run.paths.sweep("test"))
        shutil.copyfile(source.collateral, run.paths.collateral)
    return tmp_path, plan


@pytest.mark.parametrize("cost", ["utility", "kl"])
def test_seeds_are_averaged_and_their_spread_is_shown(seeds: tuple[Path, StudyPlan], cost: str) -> None:
    folder, plan = seeds
    keys = ["form", "method", "budget"]
    together = iso_table(folder, plan, cost).set_index(keys)
    alone = [iso_table(folder, replace(plan, seeds=(seed,)), cost).set_index(keys) for seed in plan.seeds]
    assert (together["seeds"] == 2).all()
    assert together.index.equals(alone[0].index)
    gained = 0
    for key, row in together.iterrows():
        gains = [float(table.loc[key, "pref"]) for table in alone]
        assert row["pref"] == pytest.approx(fmean(gains), abs=1e-12)
        assert row["pref_sd"] == pytest.approx(stdev(gains), abs=1e-12)
        assert all(pd.isna(table.loc[key, "pref_sd"]) for table in alone), "one seed has no spread"
        if row.name[1] == "split":
            assert pd.isna(row["vs_sd"])
            continue
        apart = [float(table.loc[key, "pref_vs_split"]) for table in alone]
        assert row["pref_vs_split"] == pytest.approx(fmean(apart), abs=1e-12)
        assert row["vs_sd"] == pytest.approx(stdev(apart), abs=1e-12)
        gained += row["vs_sd"] > 0
    assert gained, "control: some budget is met at a strength that gains"


def test_a_seed_that_one_of_two_lacks_is_left_out_of_their_difference(seeds: tuple[Path, StudyPlan]) -> None:
    folder, plan = seeds
    plan = replace(plan, seeds=(0, 1, 2))
    lacking = next(r for r in runs_of(folder, plan) if (r.cell.objective, r.seed) == ("sft", 1))
    for run in runs_of(folder, plan):  # a third seed, so that two are left in common
        if run.seed == 2:
            source = next(r for r in runs_of(folder, plan) if (r.cell, r.seed) == (run.cell, 0))
            shutil.copytree(source.paths.folder, run.paths.folder)
    lacking.paths.sweep("test").unlink()
    table = iso_table(folder, plan, "utility").query("method == 'sft'")
    alone = iso_table(folder, replace(plan, seeds=(0,)), "utility").query("method == 'sft'")
    assert (table["seeds"] == 2).all()
    assert table["pref_vs_split"].to_numpy() == pytest.approx(alone["pref_vs_split"].to_numpy(), abs=1e-12)
    assert table["vs_sd"].to_numpy() == pytest.approx(0, abs=1e-12)
    assert (alone["pref_vs_split"] != 0).any(), "control"
