"""`report` writes one page of a folder; what is no such folder, and no page, is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("vl_convert")

from ..study.page.folder import study
from .shared import Run, Sentence


def test_a_page_of_a_study(run: Run, sentence: Sentence, tmp_path: Path) -> None:
    study(tmp_path / "s")
    to = tmp_path / "page.html"
    code, _, err = run("report", tmp_path / "s", "--out", to)
    assert code == 0, err
    assert "page of 3 runs written" in err
    assert to.read_text("utf-8").startswith("<!doctype html>")
    assert to.stat().st_size < 5_000_000
    assert "exists already" in sentence("report", tmp_path / "s", "--out", to)
    assert "written as .html" in sentence("report", tmp_path / "s", "--out", tmp_path / "page.pdf")
    assert "is no folder that" in sentence("report", tmp_path, "--out", tmp_path / "other.html")
