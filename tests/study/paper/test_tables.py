"""A study's tables: best and second, seeds, the paper's numbers beside its own models, three formats."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pandas as pd
import pytest

from easyedit_split.study.paper.agreement import _compared
from easyedit_split.study.paper.choosing import best_judged
from easyedit_split.study.paper.entries import StudyTable, TableEntry, ordered, published, row_key
from easyedit_split.study.paper.formats import as_csv, as_latex, as_markdown
from easyedit_split.study.paper.frames import frame_latex, frame_markdown
from easyedit_split.study.paper.iso_entries import verdict_table
from easyedit_split.study.paper.plan import StudyCell
from easyedit_split.study.paper.write_tables import write_tables

from ..page.folder import study

GEMMA = "google/gemma-2-9b-it"
ROWS = tuple((GEMMA, "Vector", method) for method in ("SFT", "RePS", "SPLIT"))
TABLE = StudyTable(
    "table3",
    "Scores",
    ("power", "concept"),
    ((GEMMA, "-", "Vanilla"), *ROWS),
    {
        ((GEMMA, "-", "Vanilla"), "power"): TableEntry((9.0,)),
        (ROWS[0], "power"): TableEntry((1.0, 3.0)),
        (ROWS[1], "power"): TableEntry((3.0,), 3.5),
        (ROWS[2], "power"): TableEntry((1.0,)),
        (ROWS[2], "concept"): TableEntry((1.0,)),
    },
    marked=True,
    notes=("one run failed",),
)


def test_best_and_second_are_of_one_form_and_baselines_have_no_part() -> None:
    assert [TABLE.rank(row, "power") for row in TABLE.rows] == [0, 2, 1, 0]


def test_alone_in_a_column_nothing_is_best() -> None:
    assert TABLE.rank(ROWS[2], "concept") == 0


def test_equal_numbers_share_their_place() -> None:
    entries = {(row, "x"): TableEntry((value,)) for row, value in zip(ROWS, (2.0, 2.001, 1.0), strict=True)}
    table = StudyTable("t", "T", ("x",), ROWS, entries, marked=True)
    assert [table.rank(row, "x") for row in ROWS] == [1, 1, 2]


def test_csv_has_n_mean_sd_and_every_bit() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(TABLE))))
    first = next(row for row in rows if row["method"] == "SFT")
    assert (first["n"], first["mean"], first["rank"]) == ("2", "2.0", "2")
    assert float(first["sd"]) == pytest.approx(2**0.5)
    assert len(rows) == len(TABLE.entries)
    assert next(row for row in rows if row["published"])["published"] == "3.5"


def test_markdown_and_latex_mark_and_bracket() -> None:
    markdown, latex = as_markdown(TABLE), as_latex(TABLE)
    assert "**3.00** [3.50]" in markdown
    assert "<u>2.00 ± 1.41</u>" in markdown
    assert "- one run failed" in markdown
    assert r"\textbf{3.00} [3.50]" in latex
    assert latex.count(r"\\") == 1 + len(TABLE.rows)


@pytest.mark.parametrize(
    ("table", "row", "column", "value"),
    [
        (2, (GEMMA, "Vector", "DiffMean"), "Preference PSY", 0.97),
        (3, ("Qwen/Qwen2.5-7B-Instruct", "LoRA", "SPLIT"), "axbench overall", 1.6362),
        (6, ("Qwen/Qwen2.5-7B-Instruct", "Weight", "SFT"), "Preference AXB", -12.03),
        (3, ("testbed:gemma2", "LoRA", "SPLIT"), "axbench overall", None),
        (2, (GEMMA, "Vector", "DiffMean"), "Preference power", None),
    ],
)
def test_the_papers_numbers_stand_beside_its_models_alone(
    table: int, row: tuple[str, str, str], column: str, value: float | None
) -> None:
    assert published(table, row, column) == value


def test_rows_are_in_the_papers_order() -> None:
    cells = [("vector", "split"), ("lora", "sft"), ("", "prompt"), ("vector", "diff_mean"), ("", "vanilla")]
    rows = ordered([row_key("m", StudyCell(*cell)) for cell in cells], ["m"])
    assert [row[1:] for row in rows] == [
        ("-", "Vanilla"), ("-", "Prompt"), ("LoRA", "SFT"), ("Vector", "DiffMean"), ("Vector", "SPLIT"),
    ]  # fmt: skip


def test_the_best_m_is_the_least_of_equals_and_unreadable_texts_have_no_say() -> None:
    rows = [(0.0, 0.5), (1.0, 1.5), (2.0, 1.5), (4.0, float("nan"))]
    table = pd.DataFrame([{"m1": m, "score_overall": score, "score_power": 4.0 - m} for m, score in rows])
    assert best_judged(table, ("power", "overall"), 0.1).m == 1.0
    assert best_judged(table, ("overall", "power"), 0.1).m == 0.0
    assert best_judged(table, ("concept",), 0.1).m is None


def test_judges_that_agree_agree_and_unreadable_is_counted() -> None:
    both = pd.DataFrame({"a": [0.0, 1.0, 2.0, 1.0], "b": [0.0, 1.0, 2.0, float("nan")]})
    assert _compared(both) == {"n": 3, "unreadable": 1, "spearman": 1.0, "difference": 0.0}
    assert _compared(both.assign(b=[2.0, 1.0, 0.0, 1.0]))["spearman"] < 0


def test_frames_show_a_value_with_its_interval() -> None:
    table = pd.DataFrame([{"x": 1.5, "low": 1.0, "high": 2.0, "end": True}, {"x": float("nan"), "low": 0.1, "high": 1}])
    shown = {"gain": ("x", "low", "high"), "end": ("end",)}
    assert "| 1.50 [1.00, 2.00] | yes |" in frame_markdown(table, "T", shown)
    assert re.search(r"1\.50 \[1\.00, 2\.00\] & yes", frame_latex(table, shown))


def test_verdicts_count_intervals_and_nothing_at_no_cost() -> None:
    known = {"model": "m", "cost": "utility", "form": "vector", "method": "sft", "pref_vs_split": 1.0}
    ends = [(0.5, 0.2, 1.0), (0.5, -1.0, -0.2), (0.5, -1.0, 1.0), (0.0, 0.2, 1.0)]
    table = pd.DataFrame([{**known, "budget": budget, "vs_low": low, "vs_high": high} for budget, low, high in ends])
    (row,) = verdict_table([table]).to_dict("records")
    assert (row["ahead"], row["behind"], row["undecided"]) == (1, 1, 1)


def test_a_table_of_what_the_plan_no_longer_has_goes(tmp_path: Path) -> None:
    plan = study(tmp_path)
    for name in ("agreement.md", "notes.md"):
        (tmp_path / "tables" / name).write_text("old", "utf-8")
    write_tables(tmp_path, plan)
    names = {path.name for path in (tmp_path / "tables").iterdir()}
    assert "agreement.md" not in names, "one judge agrees with nobody"
    assert {"table3.md", "table3.csv", "notes.md"} <= names, "control: what is of the plan, or the user's, stays"
