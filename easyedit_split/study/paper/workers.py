"""Processes that make a study's runs: one a device, each with its own model, handed one run after the other.

A process stays with a model and dataset while there are runs of it left, since their caches and judges are shared; then
it takes one that nobody works on, and at last helps where most is left. What is made does not depend on who makes it:
on a CPU every process computes with one thread, however many there are.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from ...model.load_options import LoadOptions
from ...types import SteeringError
from .bench import Bench, Opened
from .layout import LOG
from .plan import Run, StudyPlan, runs_of
from .work import make_missing, missing

MOST_ON_CPU = 4
"""Processes on a CPU, unless the user says otherwise: each holds a model of its own."""
Report = Callable[[str, str], None]
"""Called with (run, item) when an item is made."""
Group = tuple[str, str]
"""Model and dataset."""


class Opener:
    """Loads models, and keeps the last one.

    Args:
        loading: how they are loaded.
    """

    def __init__(self, loading: LoadOptions) -> None:
        self.loading = loading
        self._held: tuple[str, Opened] | None = None

    def __call__(self, name: str) -> Opened:
        """A model and its tokenizer.

        Args:
            name: as ``load_model`` takes it.
        """
        from transformers.utils import logging as transformers_logging

        from ...model.load import load_model

        if self._held is None or self._held[0] != name:
            self._held = None  # before another is loaded
            transformers_logging.disable_progress_bar()
            self._held = (name, load_model(name, **asdict(self.loading)))
        return self._held[1]


@dataclass
class Maker:
    """Makes runs in this process; the bench of the last model and dataset is kept.

    Attributes:
        folder: the study's.
        plan: its plan.
        open_model: loads models.
    """

    folder: Path
    plan: StudyPlan
    open_model: Callable[[str], Opened]
    _bench: Bench | None = None

    def make(self, run: Run, report: Report) -> None:
        """Make what is missing of a run.

        Args:
            run: which run.
            report: hears of every item.
        """
        if self._bench is None or (self._bench.model_name, self._bench.data.label) != (run.model, run.dataset):
            self._bench = None
            self._bench = Bench(run.paths.group, self.plan, run.model, self.plan.data(run.dataset), self.open_model)
        for made, item in make_missing(self._bench, [run], self.folder / LOG):
            report(made.name, item.name)


def make_here(folder: Path, plan: StudyPlan, loading: LoadOptions, report: Report) -> None:
    """Make all missing runs of a plan in this process.

    Args:
        folder: the study's.
        plan: its plan.
        loading: how models are loaded.
        report: hears of every item.
    """
    with one_thread(loading):
        maker = Maker(folder, plan, Opener(loading))
        for run in runs_of(folder, plan):
            maker.make(run, report)


@contextmanager
def one_thread(loading: LoadOptions) -> Iterator[None]:
    """One thread for matrix products while models run on a CPU, so that sums are added in one order.

    Args:
        loading: says on which device.
    """
    import torch

    before = torch.get_num_threads()
    if loading.device == "cpu" or (loading.device is None and not torch.cuda.is_available()):
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def make_in_processes(folder: Path, plan: StudyPlan, devices: Sequence[LoadOptions], report: Report) -> None:
    """Make all missing runs of a plan in several processes.

    Args:
        folder: the study's.
        plan: its plan.
        devices: how each process loads models: at least one.
        report: hears of every item.

    Raises:
        SteeringError: what stopped one of them; the others are ended.
    """
    queue = RunQueue([run for run in runs_of(folder, plan) if missing(run)])
    context = multiprocessing.get_context("spawn")
    workers: dict[Connection, tuple[Any, Group | None]] = {}
    try:
        for loading in devices[: max(1, len(queue))]:
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, folder, plan, loading), daemon=True)
            process.start()
            theirs.close()
            workers[ours] = (process, None)
        while workers:
            for ready in wait(list(workers)):
                assert isinstance(ready, Connection)
                _answer(ready, workers, queue, report)
    finally:
        for connection, (process, _) in workers.items():
            connection.close()
            process.terminate()
            process.join()


class RunQueue:
    """Runs to be made, handed out so that a process stays with a model and dataset.

    Args:
        runs: in order.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self._left: dict[Group, list[Run]] = {}
        for run in runs:
            self._left.setdefault((run.model, run.dataset), []).append(run)

    def __len__(self) -> int:
        return sum(map(len, self._left.values()))

    def next_for(self, group: Group | None, busy: Sequence[Group | None]) -> Run | None:
        """The next run for a process; None where there is none left.

        Args:
            group: the model and dataset that it has worked on.
            busy: those of all processes.
        """
        open_groups = [name for name, runs in self._left.items() if runs]
        if not open_groups:
            return None
        if group not in open_groups:
            free = [name for name in open_groups if name not in busy]
            same_model = [name for name in free if group and name[0] == group[0]]
            group = next(iter(same_model or free), max(open_groups, key=lambda name: len(self._left[name])))
        assert group is not None
        return self._left[group].pop(0)


def _answer(
    ready: Connection, workers: dict[Connection, tuple[Any, Group | None]], queue: RunQueue, report: Report
) -> None:
    """Hear what a process says, and hand it its next run or let it end."""
    process, group = workers[ready]
    try:
        kind, *said = ready.recv()
    except EOFError:
        process.join()
        raise SteeringError(
            f"a process of the study ended with exit code {process.exitcode}: what was made is kept; where memory is "
            "short, give fewer --workers"
        ) from None
    if kind == "made":
        report(*said)
        return
    if kind == "failed":
        raise said[0]
    run = queue.next_for(group, [other for _, other in workers.values()])
    if run is None:
        ready.send(None)
        process.join()
        ready.close()
        del workers[ready]
        return
    workers[ready] = (process, (run.model, run.dataset))
    ready.send(run)


def _serve(connection: Connection, folder: Path, plan: StudyPlan, loading: LoadOptions) -> None:
    """The work of one process: ask for a run, make it, say each item, until there is none."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process says what is kept, and ends the others
    try:
        with one_thread(loading):
            maker = Maker(folder, plan, Opener(loading))
            connection.send(("ready",))
            while (run := connection.recv()) is not None:
                maker.make(run, lambda name, item: connection.send(("made", name, item)))
                connection.send(("ready",))
    except (EOFError, BrokenPipeError):  # the first process is gone
        os._exit(1)
    except SteeringError as error:
        with suppress(OSError):
            connection.send(("failed", error))
    except Exception as error:
        traceback.print_exc()
        with suppress(OSError):
            connection.send(("failed", SteeringError(f"a process of the study failed: {error!r}; its place is above")))


def devices_for(loading: LoadOptions, workers: int | None, runs: int) -> list[LoadOptions]:
    """How each process loads models: one a GPU; on a CPU as many as there are cores, up to four.

    Args:
        loading: what the user said.
        workers: how many processes; as above where None.
        runs: to be made, at least one process for them.
    """
    import torch

    gpus = torch.cuda.device_count() if loading.device is None else 0
    if gpus:
        count = min(workers or gpus, max(1, runs))
        return [replace(loading, device=f"cuda:{k % gpus}") for k in range(count)]
    on_cpu = loading.device in (None, "cpu")
    usual = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, MOST_ON_CPU)
    return [loading] * min(workers or (usual if on_cpu else 1), max(1, runs))
