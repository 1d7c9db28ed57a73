"""Every code block of the documentation runs, or says visibly what it needs; its tables agree with their files."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pytest
import typer

import easyedit_split
from benchmarks import effect_table, engine_tables, interop, study_docs
from easyedit_split.cli.main import app

ROOT = Path(__file__).parents[1]
FOUND = [*ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.md")]
PAGES = ("README.md", "CONTRIBUTING.md", *sorted(str(path.relative_to(ROOT)) for path in FOUND))
RUN_BY = {
    "README.md": "tests/test_readme.py",
    "docs/analysis.md": "tests/analysis/test_example.py",
    "examples/SPLIT.md": "tests/easyedit/test_run_split.py",
}
"""The test that runs the Python and shell blocks of a page, in a folder with the files that they speak of."""
LANGUAGES = {"", "python", "bash", "console", "yaml", "ini", "text", "bibtex"}
NEEDS = re.compile(r"\*Needs .+: (not run in the tests|run by `make test-easyedit`)\.\*")
"""What stands above a block that needs a download, a clone or a GPU, for its reader as much as for this test."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, line, language, text, and whether it says what it needs."""

    page: str
    line: int
    language: str
    text: str
    needs: bool


def blocks_of(page: str, source: str) -> list[Block]:
    found, above, lines = [], "", source.splitlines()
    start: int | None = None
    for number, line in enumerate(lines):
        if not line.startswith("```"):
            above = line if start is None and line.strip() else above
        elif start is None:
            start = number
        else:
            text = "\n".join(lines[start + 1 : number])
            found.append(Block(page, start + 1, lines[start][3:].strip(), text, bool(NEEDS.fullmatch(above.strip()))))
            start, above = None, ""
    return found


BLOCKS = [block for page in PAGES for block in blocks_of(page, (ROOT / page).read_text("utf-8"))]
COMMANDS = [
    (block, line)
    for block in BLOCKS
    if block.language in ("console", "bash")
    for line in block.text.replace("\\\n", " ").splitlines()
    if line.strip() and not line.startswith("#")
]


def test_every_block_names_a_known_language() -> None:
    assert [block for block in BLOCKS if block.language not in LANGUAGES] == []
    assert len(BLOCKS) > 10


def test_python_and_shell_blocks_run_or_say_what_they_need() -> None:
    for block in BLOCKS:
        if block.language not in ("python", "bash") or block.needs:
            continue
        assert block.page in RUN_BY, f"{block.page}:{block.line} is run by no test"
        assert Path(block.page).name in (ROOT / RUN_BY[block.page]).read_text("utf-8")


def test_control_what_a_block_needs_is_seen() -> None:
    shown = "*Needs a GPU: not run in the tests.*\n\n```python\nx\n```\nNeeds.\n```python\ny\n```\n"
    assert [(block.text, block.needs) for block in blocks_of("p", shown)] == [("x", True), ("y", False)]


def known_options(words: list[str]) -> set[str] | None:
    """Options of the command that a line names; None where it is not ours to check."""
    if words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        assert {word for word in words[1:] if "=" not in word} <= set(targets)
    if words[0] == "easyedit-split":
        command = typer.main.get_command(app).commands[words[1]]  # type: ignore[attr-defined]
        return {option for parameter in command.params for option in parameter.opts}
    if words[0] == "python" and words[1] == "-m":
        spec = importlib.util.find_spec(words[2])
        assert spec is not None
        assert spec.origin is not None
        return set(re.findall(r'"(--[a-z-]+)"', Path(spec.origin).read_text("utf-8")))
    if words[0] == "python" and words[1].startswith(("examples/", "benchmarks/")):
        return set(re.findall(r'"(--[a-z_-]+)"', (ROOT / words[1]).read_text("utf-8")))
    return None


@pytest.mark.parametrize(("block", "line"), COMMANDS, ids=[f"{b.page}:{b.line}" for b, _ in COMMANDS])
def test_command_lines_name_commands_and_options_that_exist(block: Block, line: str) -> None:
    words = shlex.split(line, comments=True)
    known = known_options(words)
    given = {word.split("=")[0] for word in words if word.startswith("--")}
    assert known is None or given <= known, f"{block.page}:{block.line}: {given - known}"


def test_control_a_wrong_option_or_module_is_found() -> None:
    assert "--no-such" not in (known_options(["easyedit-split", "sweep"]) or ())
    assert "--stop-at" in (known_options(["python", "-m", "easyedit_split.testbed.train"]) or ())
    with pytest.raises((AssertionError, ModuleNotFoundError)):
        known_options(["python", "-m", "easyedit_split.nowhere"])
    with pytest.raises(AssertionError):
        known_options(["make", "nothing"])


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", (ROOT / page).read_text("utf-8")):
            assert (ROOT / page).parent.joinpath(target).exists(), f"{page}: {target}"


def missing_paths(page: str) -> list[str]:
    """Files and folders of the package that a page names in backticks, and that are not there."""
    package = ROOT / "easyedit_split"
    known = {path.name for path in package.rglob("*.py")}
    named = re.findall(r"`((?:\w+/)+(?:\w+\.py)?|\w+\.py)`", page)
    found = [name.replace("NAME.py", "") for name in named if name not in known]
    return [name for name in found if not (package / name).exists() and not (ROOT / name).exists()]


def test_the_tour_names_files_that_exist() -> None:
    assert missing_paths((ROOT / "docs" / "architecture.md").read_text("utf-8")) == []
    assert missing_paths((ROOT / "CONTRIBUTING.md").read_text("utf-8")) == []
    assert len(missing_paths("`training/objectives/none.py` `nowhere/` `none.py`")) == 3


def test_the_effect_table_is_that_of_its_cells() -> None:
    page, cells = (ROOT / "docs" / "testbed.md").read_text("utf-8"), pd.read_csv(effect_table.CELLS)
    assert effect_table.with_table(page, effect_table.short_table(cells)) == page
    counted = cells[(cells.kind == "trained") & (cells.objective != "diff_mean") & (cells.placement == "block_output")]
    assert f"{counted.passed.sum()} of {len(counted)} trained cells steer" in page
    other = cells.assign(rise=cells.rise + 1)
    assert effect_table.with_table(page, effect_table.short_table(other)) != page


def test_the_engines_tables_are_those_of_the_measured_files(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "engine.md").read_text("utf-8")
    assert any(path.exists() for path in engine_tables.FILES)
    assert engine_tables.with_tables(page) == page, "python benchmarks/engine_tables.py --write docs/engine.md"
    (path,) = [path for path in engine_tables.FILES if path.name == "engine_cuda.json"]
    other = json.loads(path.read_text("utf-8"))
    other["rows"][0]["engine_s"] *= 2
    changed = tmp_path / path.name
    changed.write_text(json.dumps(other), "utf-8")
    files = [changed if file == path else file for file in engine_tables.FILES]
    assert engine_tables.with_tables(page, files) != page


def test_the_round_trips_are_those_of_the_measured_file() -> None:
    page, cells = (ROOT / "docs" / "interop.md").read_text("utf-8"), pd.read_csv(interop.CELLS)
    assert interop.with_table(page, interop.table_of(cells)) == page
    read = cells[cells.refused.isna()]
    assert (read.difference < 1e-4 * read.steering).all()
    assert set(cells[~cells.refused.isna()].format) == {"merged"}
    other = cells.assign(difference=cells.difference + 1)
    assert interop.with_table(page, interop.table_of(other)) != page


@pytest.mark.parametrize("page", study_docs.PAGES, ids=lambda path: path.name)
def test_the_studies_tables_are_those_of_the_kept_studies(page: Path) -> None:
    text = page.read_text("utf-8")
    named = set(study_docs.named(text))
    assert named
    assert named <= set(study_docs.BLOCKS)
    blocks = {name: study_docs.BLOCKS[name]() for name in named}
    assert study_docs.with_blocks(text, blocks) == text, "python benchmarks/study_docs.py --write"


@pytest.mark.parametrize("shown", study_docs.SHOWN, ids=lambda shown: " ".join(shown[:2]))
def test_control_a_block_changes_with_its_tables(
    shown: tuple[str, str, dict[str, study_docs.Block]], tmp_path: Path
) -> None:
    name, model, makers = shown
    kept = study_docs.STUDIES[name]
    other = replace(kept, root=tmp_path)
    other.folder.mkdir()
    for table in kept.tables:
        frame = kept.read(table)
        mine = frame["model"] == model
        for column in frame.select_dtypes("number").columns.drop("budget", errors="ignore"):
            frame.loc[mine, column] = frame.loc[mine, column] + 1
        frame.to_csv(other.folder / f"{table}.csv", index=False)
    for what, make in makers.items():
        assert make(other, model) != make(kept, model), what


@pytest.mark.parametrize("kept", study_docs.STUDIES.values(), ids=lambda kept: kept.name)
def test_a_kept_studys_figure_and_tables_are_of_one_study(kept: study_docs.KeptStudy) -> None:
    known = json.loads(kept.known_sums.read_text("utf-8"))
    assert kept.sums() == known, "python benchmarks/study_docs.py --keep STUDY --as NAME"
    assert {f"{name}.csv" for name in kept.tables} | {"plan.json"} <= set(known)
    assert (kept.figure.name in known) == bool(kept.drawn)


def test_the_release_is_named_alike_everywhere() -> None:
    version = easyedit_split.__version__
    dates = dict(
        re.findall(r"^## (\S+) - (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    )
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"\nversion: {version}\ndate-released: {dates[version]}\n" in citation
