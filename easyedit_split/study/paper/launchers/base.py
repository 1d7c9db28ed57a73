"""What a launcher is: it starts the processes that make a study's missing runs, and hears of every item.

Who launches changes no result. A launcher hands runs to ``workers.Maker``, each process with its own, in the order of
``run_queue.RunQueue``; what one process raises, the caller gets, and then no process is left.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from ....config import require
from ....model.load_options import LoadOptions
from ....registry import Registry
from ..plan import StudyPlan

Report = Callable[[str, str], None]
"""Called with (run, item) when an item is made."""
Launch = Callable[[Path, StudyPlan, LoadOptions, int | None, Report], None]
"""What ``Launcher.launch`` is."""


@runtime_checkable
class Launcher(Protocol):
    """Starts processes and hands them runs."""

    name: ClassVar[str]

    def count(self, loading: LoadOptions, workers: int | None, runs: int) -> int:
        """How many processes would work.

        Args:
            loading: how models are loaded.
            workers: how many the user wants at most; one a device where None.
            runs: to be made, at least one process for them.
        """

    def launch(self, folder: Path, plan: StudyPlan, loading: LoadOptions, workers: int | None, report: Report) -> None:
        """Make a study's missing runs.

        Args:
            folder: the study's, which holds the plan already.
            plan: its plan.
            loading: how models are loaded.
            workers: how many processes the user wants at most; one a device where None.
            report: hears of every item.

        Raises:
            SteeringError: what stopped one of the processes; the others are ended.
        """


def require_workers(workers: int | None) -> None:
    """Raise for a number of processes that could make nothing.

    Args:
        workers: how many the user wants; as many as the launcher thinks right where None.

    Raises:
        ConfigError: fewer than one.
    """
    require(workers is None or workers >= 1, f"--workers {workers}: give at least 1")


LAUNCHERS: Registry[type[Launcher]] = Registry(
    "launcher", "easyedit_split.study.paper.launchers", group="easyedit_split.launchers"
)
