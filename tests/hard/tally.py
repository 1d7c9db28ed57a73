"""What became of hostile cases: each is tried in a process of its own kind, with 10 s of processor time and 1 GB.

clear      one sentence, a ``SteeringError``
equal      read, and the content is what it was
lenient    read, and the content is what the file says, by an independent reader
long       of the clear ones, those whose sentence is over 300 characters
traceback  any other exception; ``slow`` over 10 s or 1 GB; ``wrong`` read, and not what the file says
"""

from __future__ import annotations

import multiprocessing
import resource
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from easyedit_split.types import SteeringError

SECONDS = 10.0
MEMORY = 2**30
LONGEST = 300

Case = Callable[[int, Path], str]
"""``case(seed, folder)`` makes a hostile input, reads it, and returns equal, lenient or wrong; or raises."""


@dataclass
class Tally:
    """How many cases ended how, with examples of what should not be."""

    kind: str
    tried: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)

    def add(self, outcome: str, example: str = "") -> None:
        self.tried += 1
        for name in outcome.split():
            self.counts[name] = self.counts.get(name, 0) + 1
        if example and len(self.examples) < 40:
            self.examples.append(f"{self.kind}: {outcome}: {example}")

    @property
    def bad(self) -> int:
        return sum(self.counts.get(name, 0) for name in ("traceback", "slow", "wrong"))


class TooSlow(BaseException):
    """A case took longer than it may."""


@contextmanager
def limited() -> Iterator[None]:
    """Ten seconds of processor time for what is inside."""

    def stop(number: int, frame: Any) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def outcome_of(case: Case, seed: int, folder: Path) -> tuple[str, str]:
    """How one case ended, and its sentence where that is of interest."""
    try:
        with limited(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = case(seed, folder)
        return found, f"seed {seed}" if found == "wrong" else ""
    except SteeringError as error:
        long = len(str(error).replace(str(folder), "")) > LONGEST
        return ("clear long", f"seed {seed}: {str(error)[:400]}") if long else ("clear", "")
    except (TooSlow, MemoryError) as error:
        return "slow", f"seed {seed}: {type(error).__name__}"
    except Exception:
        return "traceback", f"seed {seed}: {traceback.format_exc()[-700:]}"


def run_here(kind: str, case: Case, seeds: range, folder: Path) -> Tally:
    """All cases in this process."""
    tally = Tally(kind)
    for seed in seeds:
        tally.add(*outcome_of(case, seed, folder))
    return tally


def run_kind(kind: str, case: Case, count: int, folder: Path, first: int = 0) -> Tally:
    """All cases in a forked process whose memory is limited; one that dies or hangs costs its case alone."""
    tally, seed, last = Tally(kind), first, first + count
    context = multiprocessing.get_context("fork")
    while seed < last:
        ours, theirs = context.Pipe(duplex=False)
        worker = context.Process(target=_work, args=(case, range(seed, last), folder, theirs), daemon=True)
        worker.start()
        theirs.close()
        try:
            while seed < last:
                if not ours.poll(12 * SECONDS):
                    raise EOFError
                tally.add(*ours.recv())
                seed += 1
        except EOFError:
            tally.add("slow", f"seed {seed}: the process hung or died")
            seed += 1
        worker.kill()
        worker.join()
    return tally


def _work(case: Case, seeds: range, folder: Path, to: Any) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    for seed in seeds:
        to.send(outcome_of(case, seed, folder))
    time.sleep(0.1)
