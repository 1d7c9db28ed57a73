"""Backwards: a launcher that makes the last run first, here; in which order runs are made changes none of them."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from easyedit_split.model.load_options import LoadOptions
from easyedit_split.study.paper.launchers.base import Report
from easyedit_split.study.paper.plan import StudyPlan, runs_of
from easyedit_split.study.paper.workers import Maker, Opener, one_thread


class Backwards:
    """Make every run in this process, the last one first."""

    name: ClassVar[str] = "backwards"

    def count(self, loading: LoadOptions, workers: int | None, runs: int) -> int:
        """One."""
        return 1

    def launch(self, folder: Path, plan: StudyPlan, loading: LoadOptions, workers: int | None, report: Report) -> None:
        """Make a study's missing runs."""
        with one_thread(loading):
            maker = Maker(folder, plan, Opener(loading))
            for run in reversed(list(runs_of(folder, plan))):
                for item in maker.make(run):
                    report(run.name, item)
