"""A study's folder: every planned run has a place of its own, and records read back as they were written."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
import pytest

from easyedit_split.study.paper.layout import JUDGED_COLUMNS, PLAN, RunPaths
from easyedit_split.study.paper.readers import (
    read_chosen,
    read_fits,
    read_judged,
    read_plan,
    read_results,
    read_texts_over_m,
)
from easyedit_split.study.paper.records import (
    ChosenStrength,
    FitRecord,
    PlannedData,
    ResultRow,
    StudyCell,
    StudyPlan,
    TextRow,
    plain_rows,
    runs_of,
)
from easyedit_split.sweep_table import write_table
from easyedit_split.types import ConfigError, DataError

DATA = PlannedData("testbed:power", "power", ("testbed",), ("power",), "You want power.")
PLAIN = PlannedData("testbed:concepts", "own", ("self",), ("concept", "overall"))
CELLS = (
    StudyCell("", "vanilla", seeded=False),
    StudyCell("", "prompt", seeded=False),
    StudyCell("vector", "split"),
    StudyCell("lora", "sft"),
)
STUDY = StudyPlan(("testbed:gemma2", "testbed:qwen2"), (DATA, PLAIN), CELLS, seeds=(0, 1))


def test_every_run_has_a_folder_of_its_own(tmp_path: Path) -> None:
    runs = list(runs_of(tmp_path, STUDY))
    assert len({run.paths.folder for run in runs}) == len(runs) == 2 * ((2 + 4) + (1 + 4))
    assert all(run.paths.folder.is_relative_to(tmp_path) for run in runs)


def test_a_dataset_without_an_instruction_has_no_prompt_baseline(tmp_path: Path) -> None:
    found = {(run.dataset, run.cell.name) for run in runs_of(tmp_path, STUDY)}
    assert ("power", "prompt") in found
    assert ("own", "prompt") not in found


def test_the_plan_reads_back(tmp_path: Path) -> None:
    (tmp_path / PLAN).write_text(json.dumps(asdict(STUDY)), "utf-8")
    assert read_plan(tmp_path) == STUDY


def test_control_another_key_is_an_error(tmp_path: Path) -> None:
    (tmp_path / PLAN).write_text(json.dumps({**asdict(STUDY), "seed": 3}), "utf-8")
    with pytest.raises(ConfigError, match=r"'seed'.*seeds"):
        read_plan(tmp_path)


def test_records_read_back(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    fits = (FitRecord("utility", "train", "test", -1.5, 41, {"beta": 2.0}), FitRecord("utility", "dev", "dev", None, 4))
    chosen = (
        ChosenStrength("best", 4.0, 0.25, "texts are best here", 1.5),
        ChosenStrength("recommended", None, None, "-"),
    )
    results = (ResultRow("Q?", ("no",), ("yes",), "yes", ("Q? yes",), 7, "fire", 4.0),)
    texts = (TextRow(-4.0, None, "", "Q?", "no"),)
    (tmp_path / "generated").mkdir()
    for path, rows in ((paths.fits, fits), (paths.chosen, chosen), (paths.generated("best"), results)):
        path.write_text(json.dumps(plain_rows(rows)), "utf-8")
    paths.texts.write_text(json.dumps(plain_rows(texts)), "utf-8")
    assert read_fits(paths) == fits
    assert read_chosen(paths) == chosen
    assert read_results(paths, "best") == results
    assert read_texts_over_m(paths) == texts


def test_judged_answers_read_back_and_need_their_columns(tmp_path: Path) -> None:
    row = dict(zip(JUDGED_COLUMNS, ("self", "best", 4.0, "", 7, "Q?", "yes\nno", False), strict=True))
    table = pd.DataFrame([{**row, "score_concept": 1.5}])
    write_table(table, tmp_path / "judged.parquet")
    pd.testing.assert_frame_equal(read_judged(tmp_path / "judged.parquet"), table)
    write_table(table.drop(columns="strength"), tmp_path / "lacks.parquet")
    with pytest.raises(DataError, match="'strength' is missing"):
        read_judged(tmp_path / "lacks.parquet")
    for column in ("m1", "score_concept"):
        write_table(table.astype({column: str}), tmp_path / "texts.parquet")
        with pytest.raises(DataError, match=rf"texts\.parquet: column '{column}' holds '.+', wanted numbers"):
            read_judged(tmp_path / "texts.parquet")


def test_a_damaged_row_is_named(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    (tmp_path / "generated").mkdir()
    good = ResultRow("Q?", ("no",), ("yes",), "yes", ("Q? yes",), 7)
    paths.generated("best").write_text(json.dumps(plain_rows([good, replace(good, pair=8)])), "utf-8")
    assert len(read_results(paths, "best")) == 2
    rows = plain_rows([good, good])
    for key, value, said in (
        ("pred", [], "pred holds 0 answers"),
        ("m", "four", "wanted float"),
        ("m", 1e999, "finite"),
    ):
        paths.generated("best").write_text(json.dumps([rows[0], {**rows[1], key: value}]), "utf-8")
        with pytest.raises(ConfigError, match=rf"best_results\.json, row 1.*{said}"):
            read_results(paths, "best")
    for chosen in ([], plain_rows([ChosenStrength("best", None, None, "-")])):
        paths.chosen.write_text(json.dumps(chosen), "utf-8")
        with pytest.raises(DataError, match=r"chosen\.json: holds no m"):
            read_chosen(paths)


def test_no_study_is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"plan\.json: no such file"):
        read_plan(tmp_path)
