"""The page of a folder, without a browser: all there, small, nothing loaded, no text read as markup."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("vl_convert")

from easyedit_split.study.page import html
from easyedit_split.study.page.contents import Contents
from easyedit_split.study.page.html import page_of
from easyedit_split.study.page.of_study import HEADINGS, study_contents
from easyedit_split.study.paper.layout import TABLES
from easyedit_split.study.paper.plan import runs_of
from easyedit_split.study.paper.readers import read_plan
from easyedit_split.study.paper.records import ResultRow, plain_rows
from easyedit_split.types import ConfigError, DataError

from .folder import PROMPTS, M, study

HOSTILE = (
    "</script><script>window.owned = 1</script>",
    '"><img src=x onerror="window.owned=1">',
    "<!--<script>",
    "{{constructor.constructor('window.owned=1')()}}",
)


class Seen(HTMLParser):
    """Tags, attributes that load something, and scripts of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[tuple[str, str]] = []
        self.scripts: list[str] = []
        self.policy = ""
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        named = dict(attrs)
        self.loads += [(tag, str(named[name])) for name in ("src", "href", "action") if name in named]
        if named.get("http-equiv") == "Content-Security-Policy":
            self.policy = str(named["content"])
        self._inside = tag == "script" and "type" not in named

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts.append(data)


def data_of(page: str) -> Any:
    (packed,) = re.findall(r'id="data">([^<]*)</script>', page)
    return json.loads(gzip.decompress(base64.b64decode(packed)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    study(tmp_path / "study")
    return tmp_path / "study"


def test_it_holds_the_curves_texts_strengths_and_tables(folder: Path) -> None:
    page, left_out = page_of(study_contents(folder))
    assert left_out == ()
    data = data_of(page)
    assert [run["cell"] for run in data["runs"]] == ["vanilla", "vector-split", "lora-sft"]
    run = data["runs"][1]
    assert run["m"] == list(M)
    assert run["r_per_m"] == 0.25
    assert run["fits"][0]["r2"] > 0.99
    assert {band["region"] for band in run["bands"]} == {"linear", "transitional", "convergence"}
    assert [one["prompt"] for one in run["written"]] == list(PROMPTS)
    assert run["written"][0]["texts"][0] == [-8.0, "answer 0 of vector-split at m = -8"]
    assert [(one["name"], one["m"]) for one in run["strengths"]] == [
        ("published", 1),
        ("recommended", 2),
        ("best", None),
    ]
    assert run["scores"] == [
        {"judge": "testbed", "strength": "recommended", "m": 2.0, "score": "power", "mean": 2.5, "n": 2}
    ], "a score that a judge does not give is not shown"
    assert "<summary>Scores (Table 3)</summary>" in page
    assert '<td class="n"><strong>3.21</strong></td>' in page
    assert '<td class="n"><u>2.75</u></td>' in page
    assert "version of easyedit_split" in page


def test_answers_at_a_chosen_m_between_the_swept_ones_are_shown_too(folder: Path) -> None:
    run = next(run for run in runs_of(folder, read_plan(folder)) if run.cell.name == "vector-split")
    place = run.paths.generated("recommended")
    place.parent.mkdir()
    rows = [
        ResultRow(prompt, ("o",), (f"at 1.5 {prompt}",), "", ("",), 0, m=1.5) for prompt in (PROMPTS[0], "another?")
    ]
    place.write_text(json.dumps(plain_rows(rows)), "utf-8")
    found = data_of(page_of(study_contents(folder))[0])["runs"][1]["written"]
    assert [one["prompt"] for one in found] == list(PROMPTS), "of the prompts that are shown, and no others"
    assert [1.5, f"at 1.5 {PROMPTS[0]}"] in found[0]["texts"]
    assert [m for m, _ in found[1]["texts"]] == list(M)


def test_it_loads_nothing_and_allows_its_own_scripts_alone(folder: Path) -> None:
    seen = Seen(page_of(study_contents(folder))[0])
    assert seen.loads == []
    assert len(seen.scripts) == 2
    hashes = {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in seen.scripts}
    assert set(re.findall(r"'sha256-([^']+)'", seen.policy)) == hashes
    assert "default-src 'none'" in seen.policy
    assert "unsafe-eval" not in seen.policy


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    plain, odd = tmp_path / "plain", tmp_path / "odd"
    study(plain, texts=["a"] * len(HOSTILE), models=("testbed:m",))
    plan = study(odd, texts=HOSTILE, models=(f"testbed:{HOSTILE[1]}",))
    rows = f"{HOSTILE[0]}\n\n| a | {HOSTILE[2]} |\n|-|-|\n| **{HOSTILE[0]}** | <u>{HOSTILE[1]}</u> |\n"
    (odd / "tables" / "table3.md").write_text(rows, "utf-8")
    contents = study_contents(odd)
    contents = dataclasses.replace(contents, notes=(HOSTILE[0],), settings=((HOSTILE[2], HOSTILE[1]),))
    page, ordinary = page_of(contents)[0], page_of(study_contents(plain))[0]
    assert Seen(page).tags.count("script") == Seen(ordinary).tags.count("script") == 3
    assert set(Seen(page).tags) == set(Seen(ordinary).tags)
    assert HOSTILE[0] not in page
    assert data_of(page)["runs"][1]["written"][0]["prompt"] == HOSTILE[0], "and they are shown as they are"
    assert len(list(runs_of(odd, plan))) == 3


def test_a_page_that_would_be_too_large_shows_the_first_seeds_texts(tmp_path: Path) -> None:
    study(tmp_path / "s", texts=[hashlib.sha512(str(k).encode()).hexdigest() * 20 for k in range(40)], seeds=(3, 4))
    contents = study_contents(tmp_path / "s")
    whole = page_of(contents)[0]
    page, left_out = page_of(contents, limit=len(whole.encode()) - 1)
    assert "of seed 3 alone" in left_out[0]
    assert left_out[0].split(":")[0] in page
    found = data_of(page)["runs"]
    assert all(bool(run["written"]) == (run["seed"] == 3) for run in found if run["cell"] != "vanilla")
    assert len(page) < len(whole)
    with pytest.raises(ConfigError, match=r"at most 1,000 are wanted"):
        page_of(contents, limit=1000)


def test_a_study_that_is_half_made_is_shown_as_far_as_it_is(folder: Path) -> None:
    plan_of = study_contents(folder)
    sweeps = sorted(folder.rglob("sweep-test.parquet"))
    sweeps[0].unlink()
    (sweeps[1].parent / "chosen.json").unlink()
    contents = study_contents(folder)
    assert sorted(run.problem for run in contents.runs) == ["", "", "not made yet"]
    assert contents.notes == ("1 of 3 runs have no curves yet, or failed.",)
    assert "not made yet" in json.dumps(data_of(page_of(contents)[0]))
    assert plan_of.notes == ()


def test_a_table_with_a_row_too_short_is_refused(folder: Path) -> None:
    (folder / "tables" / "table3.md").write_text("| a | b |\n|-|-|\n| 1 | a\\|b |\n| 2 |\n", "utf-8")
    with pytest.raises(DataError, match="a row has 1 cells under 2 columns"):
        study_contents(folder)
    (folder / "tables" / "table3.md").write_text("| a | b |\n|-|-|\n| 1 | a\\|b |\n", "utf-8")
    assert study_contents(folder).tables[0].rows == (("1", "a|b"),)


def test_a_folder_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="name the folder of a study"):
        study_contents(tmp_path)


def test_the_same_folder_gives_the_same_page(folder: Path) -> None:
    assert page_of(study_contents(folder)) == page_of(study_contents(folder))
    assert len(page_of(Contents("t", ()))[0].encode()) < html.LIMIT


def test_every_table_of_a_study_has_a_heading_of_its_own() -> None:
    assert set(HEADINGS) == set(TABLES)
    assert len(set(HEADINGS.values())) == len(TABLES)
