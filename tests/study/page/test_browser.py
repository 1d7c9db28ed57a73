"""The page in a real browser: it paints within a second, the slider moves the texts, nothing hostile runs.

Needs Chromium (on the path, or named by EASYEDIT_SPLIT_CHROMIUM) and Playwright's Python package.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("vl_convert")
pytest.importorskip("playwright")

from playwright.sync_api import sync_playwright

from easyedit_split.study.page.html import page_of
from easyedit_split.study.page.of_study import study_contents

from .folder import M, study
from .test_page import HOSTILE

CHROMIUM = os.environ.get("EASYEDIT_SPLIT_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
FIRST_PAINT = 1000  # milliseconds


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


class Opened:
    """A page that is open, and what it asked for and complained about."""

    def __init__(self, browser: Any, path: Path) -> None:
        self.page = browser.new_page(viewport={"width": 1180, "height": 900})
        self.asked: list[str] = []
        self.said: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("body[data-drawn]", timeout=30_000)

    def text(self, name: str) -> str:
        return str(self.page.inner_text(f"#{name}"))


def opened(browser: Any, folder: Path, **settings: Any) -> Opened:
    study(folder, **settings)
    path = folder / "report.html"
    path.write_text(page_of(study_contents(folder))[0], "utf-8")
    return Opened(browser, path)


def test_it_paints_at_once_loads_nothing_and_complains_of_nothing(browser: Any, tmp_path: Path) -> None:
    here = opened(browser, tmp_path / "s")
    script = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    assert 0 < here.page.evaluate(script) < FIRST_PAINT
    assert here.asked == [(tmp_path / "s" / "report.html").as_uri()]
    assert here.said == []
    assert here.page.locator("#overview svg path").count() > 10, "curves are drawn"
    assert here.page.locator("#detail svg path").count() > 10


def test_the_slider_moves_the_texts_and_the_line(browser: Any, tmp_path: Path) -> None:
    here = opened(browser, tmp_path / "s")
    slider = here.page.locator("#m")
    assert here.text("now-m") == "2 (recommended)", "it begins at the recommended m"
    assert "at m = 2" in here.text("texts")

    def line() -> str:
        here.page.evaluate("new Promise((done) => setTimeout(done, 100))")
        marks = here.page.locator("#detail svg .mark-rule line")
        return str([marks.nth(k).evaluate("e => e.parentNode.innerHTML") for k in range(marks.count())])

    before = line()
    slider.focus()
    here.page.keyboard.press("ArrowRight")
    assert here.text("now-m") == "4"
    assert here.text("now-r") == "1"
    assert "answer 1 of vector-split at m = 4" in here.text("texts")
    assert "answer 1 of vector-split at m = 2" not in here.text("texts")
    assert "m = 4, r = 1, preference" in str(slider.get_attribute("aria-valuetext"))
    assert line() != before, "the line in the chart moved too"
    here.page.keyboard.press("Home")
    assert here.text("now-m") == "-8"
    assert "answer 0 of vector-split at m = 0" in here.text("texts"), "the unsteered text stands beside it"
    slider.evaluate(f"e => {{ e.value = {M.index(0.5)}; e.dispatchEvent(new Event('input')); }}")
    assert here.text("now-m") == "0.5"
    here.page.get_by_role("button", name="published").click()
    assert here.text("now-m") == "1 (published)"


def test_another_run_and_another_axis_are_shown(browser: Any, tmp_path: Path) -> None:
    here = opened(browser, tmp_path / "s")
    here.page.select_option("#run", label="lora-sft")
    assert "of lora-sft at m = 2" in here.text("texts")
    here.page.select_option("#run", label="vanilla")
    assert "A baseline" in here.text("texts")
    assert not here.page.is_visible("#slide")
    assert "testbed" in here.text("scores")
    here.page.check("#over-m")
    here.page.wait_for_function("document.querySelector('#overview svg').textContent.includes('−8')")
    assert here.said == []


def test_every_control_is_reached_by_the_keyboard(browser: Any, tmp_path: Path) -> None:
    here = opened(browser, tmp_path / "s")
    reached = set()
    for _ in range(40):
        here.page.keyboard.press("Tab")
        reached.add(str(here.page.evaluate("document.activeElement.id || document.activeElement.textContent")))
    assert {"run", "m", "over-r", "published", "recommended"} <= reached


def test_hostile_texts_do_not_run(browser: Any, tmp_path: Path) -> None:
    here = opened(browser, tmp_path / "s", texts=HOSTILE, models=(f"testbed:{HOSTILE[1]}",))
    assert here.page.evaluate("window.owned") is None
    assert here.page.locator("main img").count() == 0
    assert HOSTILE[0] in here.text("texts"), "they are shown as they are"
    assert HOSTILE[1] in here.page.inner_text("h1")
    assert len(here.asked) == 1
    assert here.said == []


def test_control_a_script_that_found_a_way_in_would_not_run(browser: Any, tmp_path: Path) -> None:
    study(tmp_path / "s")
    page = page_of(study_contents(tmp_path / "s"))[0]
    bad = "<script>window.owned = 1</script><img src=x onerror='window.owned = 1'>"
    (tmp_path / "bad.html").write_text(page.replace("<footer>", f"{bad}<footer>"), "utf-8")
    here = Opened(browser, tmp_path / "bad.html")
    assert here.page.evaluate("window.owned") is None
    assert any("Content Security Policy" in said for said in here.said)
    (tmp_path / "open.html").write_text(f"<title>t</title>{bad}<body data-drawn=yes>x", "utf-8")
    assert Opened(browser, tmp_path / "open.html").page.evaluate("window.owned") == 1, "control of the control"
