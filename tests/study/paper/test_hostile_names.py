"""Names of models, data and cells that hold a table's own signs stay names, in Markdown, LaTeX, figures and pages."""

from __future__ import annotations

from html import escape
from pathlib import Path

import pandas as pd
import pytest

from easyedit_split.analysis import to_latex, to_markdown
from easyedit_split.study.page.tables import tables_of
from easyedit_split.study.paper.entries import StudyTable, TableEntry
from easyedit_split.study.paper.figures import write_figures
from easyedit_split.study.paper.formats import as_latex, as_markdown
from easyedit_split.study.paper.frames import frame_latex, frame_markdown
from easyedit_split.study.paper.layout import JUDGED_COLUMNS
from easyedit_split.study.paper.plan import PlannedData, StudyCell, StudyPlan, runs_of
from easyedit_split.study.paper.score_entries import score_entries
from easyedit_split.sweep_table import write_table
from easyedit_split.types import DataError

from ..page.folder import CELLS, study

NAME = "50%|a_b & {c}\\d ~ $x^2$\n#1"
ON_ONE_LINE = "50%|a_b & {c}\\d ~ $x^2$ #1"
IN_LATEX = r"50\%|a\_b \& \{c\}\textbackslash{}d \textasciitilde{} \$x\textasciicircum{}2\$"
ROW = (f"model {NAME}", "Vector", NAME)
TABLE = StudyTable("t", "T", (f"{NAME} overall",), (ROW,), {(ROW, f"{NAME} overall"): TableEntry((1.0,))})
FRAME = pd.DataFrame({"method": [NAME]})
R2 = pd.DataFrame(
    [{"Model": NAME, "Type": "Vector", "Method": NAME, f"Preference {NAME}": 1.0, f"Utility {NAME}": 1.0}]
)
MARKDOWN = (as_markdown(TABLE), frame_markdown(FRAME, "T", {"Method": ("method",)}), to_markdown(R2))
LATEX = (as_latex(TABLE), frame_latex(FRAME, {"Method": ("method",)}), to_latex(R2))


@pytest.mark.parametrize("text", MARKDOWN)
def test_markdown_reads_back(text: str, tmp_path: Path) -> None:
    path = tmp_path / "t.md"
    path.write_text(text, "utf-8")
    (found,) = tables_of(path, "t")
    shown = [*found.columns, *(cell for row in found.rows for cell in row)]
    assert ON_ONE_LINE in shown
    assert all("\n" not in cell for cell in shown)
    path.write_text(text.replace("| 50%\\|", "| 50%|", 1), "utf-8")
    with pytest.raises(DataError, match=r"t\.md: a row has \d+ cells under"):  # control: what one bar would do
        list(tables_of(path, "t"))


@pytest.mark.parametrize("text", LATEX)
def test_latex_prints_them(text: str) -> None:
    assert IN_LATEX in text
    assert NAME not in text


def test_one_label_may_begin_another(tmp_path: Path) -> None:
    labels = ("my", "my own")
    data = tuple(PlannedData(f"{label}.csv", label, ("self",), ("overall",)) for label in labels)
    plan = StudyPlan(("a-model",), data, (StudyCell("", "vanilla", seeded=False),))
    row = dict(zip(JUDGED_COLUMNS, ("self", "baseline", 0.0, "", 7, "Q?", "yes", False), strict=True))
    for run in runs_of(tmp_path, plan):
        run.paths.folder.mkdir(parents=True)
        write_table(pd.DataFrame([{**row, "score_overall": 1.0}]), run.paths.judged)
    columns = score_entries(tmp_path, plan).columns
    assert columns == tuple(f"{label} overall, {m}" for label in labels for m in ("m = 1", "best", "recommended"))


@pytest.mark.parametrize("label", ["a$_$b", "price: $5^", "plain"])
def test_a_figure_shows_them(label: str, tmp_path: Path) -> None:
    data = PlannedData("testbed:power", label, ("testbed",), ("power",))
    plan = study(tmp_path / "s", datasets=(data,), cells=CELLS[:2])
    written = write_figures(tmp_path / "s", plan)
    assert written
    shown = f"{escape(label, quote=False)}</text>"
    assert all(shown in path.with_suffix(".svg").read_text("utf-8") for path in written)
