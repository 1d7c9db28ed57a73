"""Processes of this machine, one a device; a single one is this process itself."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import ClassVar

from ....model.load_options import LoadOptions
from ....types import SteeringError
from ..plan import StudyPlan, runs_of
from ..run_queue import RunQueue
from ..work import missing
from ..workers import MOST_ON_CPU, Maker, Opener, death, failure, one_thread
from .base import LAUNCHERS, Report


@LAUNCHERS.register("local")
class OnThisMachine:
    """Starts one process a device of this machine."""

    name: ClassVar[str] = "local"

    def count(self, loading: LoadOptions, workers: int | None, runs: int) -> int:
        """How many processes would work.

        Args:
            loading: how models are loaded.
            workers: how many; see ``devices_for``.
            runs: to be made, at least one process for them.
        """
        return len(devices_for(loading, workers, runs))

    def launch(self, folder: Path, plan: StudyPlan, loading: LoadOptions, workers: int | None, report: Report) -> None:
        """Make a study's missing runs.

        Args:
            folder: the study's.
            plan: its plan.
            loading: how models are loaded.
            workers: how many processes; see ``devices_for``.
            report: hears of every item.
        """
        left = sum(bool(missing(run)) for run in runs_of(folder, plan))
        devices = devices_for(loading, workers, left)
        if len(devices) == 1:
            make_here(folder, plan, devices[0], report)
        else:
            make_in_processes(folder, plan, devices, report)


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
            for item in maker.make(run):
                report(run.name, item)


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
    workers: dict[Connection, BaseProcess] = {}
    try:
        for loading in devices[: max(1, len(queue))]:
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, folder, plan, loading), daemon=True)
            process.start()
            theirs.close()
            workers[ours] = process
        while workers:
            for ready in wait(list(workers)):
                assert isinstance(ready, Connection)
                _answer(ready, workers, queue, report)
    finally:
        for connection, worker in workers.items():
            connection.close()
            worker.kill()
            worker.join()


def _answer(ready: Connection, workers: dict[Connection, BaseProcess], queue: RunQueue, report: Report) -> None:
    """Hear what a process says, and hand it its next run or let it end."""
    process = workers[ready]
    try:
        kind, *said = ready.recv()
    except EOFError:
        process.join()
        raise death(f"with exit code {process.exitcode}") from None
    if kind == "made":
        report(*said)
        return
    if kind == "failed":
        raise said[0]
    run = queue.next_for(process.pid)
    if run is None:
        ready.send(None)
        process.join()
        ready.close()
        del workers[ready]
        return
    ready.send(run)


def _serve(connection: Connection, folder: Path, plan: StudyPlan, loading: LoadOptions) -> None:
    """The work of one process: ask for a run, make it, say each item, until there is none."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the first process says what is kept, and ends the others
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_first, name="first process", daemon=True).start()
    try:
        with one_thread(loading):
            maker = Maker(folder, plan, Opener(loading))
            connection.send(("ready",))
            while (run := connection.recv()) is not None:
                for item in maker.make(run):
                    connection.send(("made", run.name, item))
                connection.send(("ready",))
    except (EOFError, BrokenPipeError):  # the first process is gone, see below
        os._exit(1)
    except SteeringError as error:
        with suppress(OSError):
            connection.send(("failed", error))
    except Exception as error:
        traceback.print_exc()
        with suppress(OSError):
            connection.send(("failed", failure(error)))


def _end_with_the_first() -> None:
    """End this process in the middle of its item when the first one is gone: a run given again would meet it there."""
    first = multiprocessing.parent_process()
    assert first is not None
    first.join()
    os._exit(1)


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
