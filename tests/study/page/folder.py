"""A small folder of a study, written by hand: curves by the paper's formula, texts that name their m."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from easyedit_split.analysis import CurveParams, preference_curve, utility_curve
from easyedit_split.log_odds import OK
from easyedit_split.study.paper.layout import PLAN, SCORE
from easyedit_split.study.paper.plan import PlannedData, Run, StudyCell, StudyPlan, runs_of
from easyedit_split.study.paper.records import ChosenStrength, TextRow
from easyedit_split.sweep_table import write_table

PREFERENCE = CurveParams(2.0, 0.5, 0.2, 0.4, 6.0, 1.2, -0.4, 6.0, 1.2)
UTILITY = CurveParams(0.0, 9.0, -12.0, 0.2, 4.0, 1.0, -0.2, 4.0, 1.0)
M = (-8.0, -4.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
PROMPTS = ("How was lunch?", "What about rain?")
CELLS = (StudyCell("", "vanilla"), StudyCell("vector", "split"), StudyCell("lora", "sft"))


def study(folder: Path, *, texts: Sequence[str] = (), seeds: tuple[int, ...] = (0,), **more: Any) -> StudyPlan:
    """Write a folder of a study with three cells on one model and dataset; ``texts`` are written in place of some."""
    data = PlannedData("testbed:power", "power", ("testbed",), ("power",))
    settings = {"models": ("testbed:gemma2",), "datasets": (data,), "cells": CELLS, "seeds": seeds}
    plan = StudyPlan(**{**settings, **more}, versions={"easyedit_split": "0.2.0"})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PLAN).write_text(json.dumps(asdict(plan)), "utf-8")
    for run in runs_of(folder, plan):
        run.paths.folder.mkdir(parents=True)
        if not run.cell.baseline:
            fill(run, texts)
        judged(run)
    tables = folder / "tables"
    tables.mkdir()
    rows = "| g | split | **3.21** |\n| g | sft | <u>2.75</u> |\n"
    table = f"**Scores (Table 3)**\n\n| Model | Method | Power |\n|-|-|-:|\n{rows}"
    (tables / "table3.md").write_text(table, "utf-8")
    return plan


def fill(run: Run, texts: Sequence[str] = ()) -> None:
    """Write the sweep, the chosen m and the texts of a run."""
    scale = 1.0 if run.cell.form == "vector" else 0.5
    m = np.array(M)
    pref, util = preference_curve(m * scale, PREFERENCE), utility_curve(m * scale, UTILITY)
    rows = [
        {
            "model": run.model, "dataset": run.dataset, "split": "test", "concept": "", "pair": pair,
            "form": run.cell.form, "objective": run.cell.objective, "site": "s", "placement": "p", "seed": run.seed,
            "m1": x, "m2": x, "L_p": 1.0, "L_n": 1.0, "T_p": 3, "T_n": 3,
            "pref": p + 0.3 * (pair - 1), "util": u - 0.2 * (pair - 1), "status": OK, "r": 0.25 * x,
        }
        for pair in range(3)
        for x, p, u in zip(M, pref, util, strict=True)
    ]  # fmt: skip
    write_table(pd.DataFrame(rows), run.paths.sweep("test"))
    chosen = [ChosenStrength("published", 1.0, 0.25, "as published"), ChosenStrength("recommended", 2.0, 0.5, "pairs")]
    chosen.append(ChosenStrength("best", None, None, "no m was better"))
    run.paths.chosen.write_text(json.dumps([asdict(one) for one in chosen]), "utf-8")
    said = dict(enumerate(texts))
    written = [
        TextRow(x, 0.25 * x, "", said.get(k, prompt), said.get(k, f"answer {k} of {run.cell.name} at m = {x:g}"))
        for k, prompt in enumerate((*PROMPTS, *(f"more {j}?" for j in range(len(PROMPTS), len(texts)))))
        for x in M
    ]
    run.paths.texts.write_text(json.dumps([asdict(one) for one in written]), "utf-8")


def judged(run: Run) -> None:
    """Write a judged table."""
    row = {"judge": "testbed", "strength": "recommended", "m1": 2.0, "concept": "", "prompt": "P", "cut_off": False}
    rows = [{**row, "pair": k, "text": f"T {k}", f"{SCORE}power": 2.0 + k, f"{SCORE}relevance": None} for k in range(2)]
    write_table(pd.DataFrame(rows), run.paths.judged)
