"""A tiny study made by a command of its own, so that it can have processes, be killed, and be asked what it said."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[3]
SCRIPT = """
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import easyedit_split.cli.main as cli
from easyedit_split.cli.interrupts import keeping
from easyedit_split.model.load_options import LoadOptions
from easyedit_split.study.paper.launchers.base import LAUNCHERS
from easyedit_split.study.paper.study import make_study
from tests.study.paper.tiny_study import tiny_plan


class Telling:
    def say(self, text): ...

    @contextmanager
    def bar(self, label):
        yield lambda done, total, note: print(note.partition("; ")[2], flush=True)


def study():
    here, name, launcher, workers = sys.argv[1:]
    with keeping(lambda: "what is made is kept"):
        launch = LAUNCHERS[launcher]().launch
        on_cpu = LoadOptions(device="cpu")
        make_study(Path(here) / name, tiny_plan(Path(here)), on_cpu, Telling(), workers=int(workers), launch=launch)


if __name__ == "__main__":
    cli.app = study
    from easyedit_split.cli.entry import main

    main()
"""
"""Makes a study as the command line does; each line that it prints is a run and the item that was made of it."""


@contextmanager
def started(
    here: Path, name: str, workers: int, launcher: str = "local", more: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A command that makes ``here / name``, killed with its process group on leaving; ``more`` is its environment."""
    (here / "make.py").write_text(SCRIPT, "utf-8")
    with subprocess.Popen(
        [sys.executable, "make.py", str(here), name, launcher, str(workers)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **(more or {})},
        cwd=here,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def items_in(log: Path) -> int:
    """How many items a study has made, by its log."""
    return len(log.read_text("utf-8").splitlines()) if log.is_file() else 0
