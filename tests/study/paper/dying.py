"""A tiny study that is killed at one change of the file system after another: each child finds what the last one left.

    python -m tests.study.paper.dying FOLDER NAME MOST

Children are forked, so that none pays for imports again, and each is killed before one of its first ``MOST`` changes;
the last one ends by itself. Printed is how many were killed.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from ...hard.kills import at_operation, killed
from .launched import ROOT
from .tiny_study import make, tiny_plan


def deaths_of(here: Path, name: str, most: int) -> int:
    """How often a study was killed in a process of its own, since one that has computed cannot be forked."""
    line = [sys.executable, "-m", "tests.study.paper.dying", str(here), name, str(most)]
    own = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(line, cwd=ROOT, env=own, capture_output=True, text=True, check=True, timeout=600)
    return int(done.stdout.split()[-1])


def main(here: str, name: str, most: str) -> None:
    """Kill one child after the other until one ends by itself."""
    folder, plan, rng, deaths = Path(here) / name, tiny_plan(Path(here)), random.Random(3), 0
    while True:
        number, child = rng.randint(1, int(most)), os.fork()
        if not child:
            at_operation(number, killed, folder)()
            make(folder, plan)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code != -signal.SIGKILL:
            print(deaths)
            sys.exit(code)
        deaths += 1


if __name__ == "__main__":
    main(*sys.argv[1:])
