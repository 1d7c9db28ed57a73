"""Processes of a Ray cluster, one actor a device, on whatever machines see the study's folder.

    RAY_ADDRESS, else the cluster that ``ray start`` put on this machine, else a Ray of this machine's own
    a GPU each where the cluster has any and ``--device cpu`` is not said, else a core each

An actor makes one item a call and says its name, so the study's own process knows how far it is. A Ray of this
machine's own listens on the loopback address alone, has no dashboard, and ends with the study.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from ....files.journal import differing
from ....files.reading import cut, listed, reason_of
from ....model.digests import versions
from ....model.load_options import LoadOptions
from ....types import ConfigError, SteeringError
from ..layout import PLAN
from ..plan import Run, StudyPlan, runs_of
from ..readers import read_plan
from ..run_queue import RunQueue
from ..work import missing
from ..workers import MOST_ON_CPU, Maker, Opener, death, failure, one_thread
from .base import LAUNCHERS, Report

SEEN_WITHIN = 120.0
"""Seconds after which a shared file system has shown every machine what another one wrote; NFS keeps names for 60."""
OBJECT_BYTES = 100_000_000
"""Shared memory of a Ray of this machine's own: actors send names only."""
OF_ITS_OWN = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
"""Environment of a Ray of this machine's own: no machine joins it, so it listens on loopback; nothing is reported."""


@LAUNCHERS.register("ray")
class OnRay:
    """Starts one actor a device of a Ray cluster.

    Raises:
        ConfigError: Ray is not installed.
    """

    name: ClassVar[str] = "ray"

    def __init__(self) -> None:
        found = importlib.util.find_spec("ray")
        if found is None or found.origin is None:  # a folder of that name has no origin
            raise ConfigError("the launcher ray needs Ray: pip install 'easyedit-split[ray]'")

    def count(self, loading: LoadOptions, workers: int | None, runs: int) -> int:
        """How many actors would work.

        Args:
            loading: how models are loaded.
            workers: how many at most; one a GPU where None, or a core, up to four a machine.
            runs: to be made, at least one actor for them.
        """
        with connected() as machines:
            return room(loading, machines).count(workers, runs)

    def launch(self, folder: Path, plan: StudyPlan, loading: LoadOptions, workers: int | None, report: Report) -> None:
        """Make a study's missing runs.

        Args:
            folder: the study's, on a file system that all machines of the cluster share.
            plan: its plan.
            loading: how models are loaded.
            workers: how many actors at most; one a GPU where None, or a core, up to four a machine.
            report: hears of every item.

        Raises:
            SteeringError: what stopped one of the actors; the others are ended.
        """
        folder = folder.absolute()
        left = [run for run in runs_of(folder, plan) if missing(run)]
        with connected() as machines:
            import ray

            free = room(loading, machines)
            actor = ray.remote(Worker).options(scheduling_strategy="SPREAD", **free.takes)
            crew: list[Any] = []
            try:
                for _ in range(free.count(workers, len(left))):
                    crew.append(actor.remote(folder, plan, free.loading, Path.cwd()))
                _hand_out(crew, RunQueue(left), report)
            finally:
                for worker in crew:
                    ray.kill(worker)
        await_files(left)


class Worker:
    """One actor: makes items of runs with a model of its own.

    Args:
        folder: the study's, absolute.
        plan: its plan.
        loading: how models are loaded.
        here: where the command was given; relative names of models and data start there where the machine has it.
    """

    def __init__(self, folder: Path, plan: StudyPlan, loading: LoadOptions, here: Path) -> None:
        self._folder, self._plan, self._loading, self._here = folder, plan, loading, here
        self._maker = Maker(folder, plan, Opener(loading))

    def ready(self) -> None:
        """Look whether this machine has what the study is made from.

        Raises:
            ConfigError: it does not see the study's folder, or computes with other versions.
        """
        machine = socket.gethostname()
        if not (self._folder / PLAN).is_file() or read_plan(self._folder) != self._plan:
            raise ConfigError(
                f"{machine} does not see this study in {self._folder}: give an --out on a file system that all "
                "machines of the Ray cluster share"
            )
        others = differing(self._plan.versions, versions()) if self._plan.versions else ()
        if others:
            raise ConfigError(
                f"{machine} has other versions than the study ({listed(others)}): install the same ones on all machines"
            )
        if self._here.is_dir():
            os.chdir(self._here)

    def item(self, run: Run) -> str | None:
        """Make the next missing item of a run.

        Args:
            run: which run.

        Returns:
            The item's name; None where all are made.
        """
        with one_thread(self._loading):
            return next(self._maker.make(run), None)


@dataclass(frozen=True, slots=True)
class Room:
    """What a cluster has for actors.

    Attributes:
        takes: resources of one actor.
        usual: actors, unless the user says otherwise.
        most: actors that fit at a time.
        loading: how one loads models.
    """

    takes: Mapping[str, int]
    usual: int
    most: int
    loading: LoadOptions

    def count(self, workers: int | None, runs: int) -> int:
        """How many actors to start.

        Args:
            workers: how many the user wants at most.
            runs: to be made.
        """
        return min(workers or self.usual, self.most, max(1, runs))


def room(loading: LoadOptions, machines: Sequence[Mapping[str, float]]) -> Room:
    """What a cluster has for actors that load models in one way.

    Args:
        loading: how models are loaded.
        machines: resources of each machine, by Ray's names.

    Raises:
        ConfigError: a device is asked for that Ray cannot give.
    """
    gpus = sum(int(machine.get("GPU", 0)) for machine in machines)
    cores = [int(machine.get("CPU", 0)) for machine in machines]
    device = loading.device or ("cuda" if gpus else "cpu")
    if ":" in device:
        raise ConfigError(f"--device {device} names one device, and Ray gives each process its own: leave :N out")
    if device in ("cuda", "auto") and gpus:
        return Room({"num_gpus": 1}, gpus, gpus, replace(loading, device=device))
    if device == "cuda" or not any(cores):
        raise ConfigError(f"the Ray cluster has no {'GPU' if device == 'cuda' else 'core'} for a process of the study")
    usual = sum(min(count, MOST_ON_CPU) for count in cores) if device == "cpu" else 1
    return Room({"num_cpus": 1}, usual, sum(cores), loading)


@contextmanager
def connected() -> Iterator[list[dict[str, float]]]:
    """A Ray cluster: the one that this process is connected to, one that is running, or one of this machine's own.

    Yields:
        Resources of each of its machines.

    Raises:
        ConfigError: no cluster answers where one is said to be.
    """
    address = running_cluster()
    if address is None:
        for name, value in OF_ITS_OWN.items():
            os.environ.setdefault(name, value)  # Ray reads them when it is imported
    import ray

    ours = not ray.is_initialized()
    if ours:
        settings = {} if address else {"include_dashboard": False, "object_store_memory": OBJECT_BYTES}
        try:
            ray.init(address or "local", logging_level="ERROR", **settings)
        except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            raise ConfigError(
                f"no Ray cluster could be reached at {address or 'this machine'} ({reason_of(error)}): RAY_ADDRESS "
                "names another, RAY_ADDRESS=local starts one on this machine"
            ) from error
    try:
        yield [node["Resources"] for node in ray.nodes() if node["Alive"]]
    finally:
        if ours:
            ray.shutdown()


def running_cluster() -> str | None:
    """Address of the cluster to join, found as ``ray.init`` finds it; None where there is none.

    Ray is not imported yet: what it reads at its import depends on the answer.
    """
    if given := os.environ.get("RAY_ADDRESS"):
        return None if given == "local" else given
    usual = os.environ.get("TMPDIR", "/tmp") if sys.platform.startswith("linux") else tempfile.gettempdir()
    kept = Path(os.environ.get("RAY_TMPDIR", usual), "ray", "ray_current_cluster")  # `ray start` writes it
    return kept.read_text("utf-8").strip() if kept.is_file() else None


def await_files(runs: Sequence[Run], seconds: float = SEEN_WITHIN) -> None:
    """Wait until this machine sees the files that others made; on one machine it does at once.

    Args:
        runs: all of them made.
        seconds: to wait at most.

    Raises:
        SteeringError: it does not see them.
    """
    until = time.monotonic() + seconds
    while unseen := [run for run in runs if missing(run)]:
        if time.monotonic() > until:
            raise SteeringError(
                f"{unseen[0].paths.folder} was made, and this machine does not see all of it: look at the file system "
                "that the machines share, then repeat the command"
            )
        time.sleep(min(1.0, seconds))


def _hand_out(crew: Sequence[Any], queue: RunQueue, report: Report) -> None:
    """Hand each actor one run after the other until all are made; one that waits for room is not waited for."""
    import ray

    calls: dict[Any, tuple[int, Run | None]] = {worker.ready.remote(): (k, None) for k, worker in enumerate(crew)}
    while len(queue) or any(run for _, run in calls.values()):
        (done,), _ = ray.wait(list(calls), num_returns=1)
        k, run = calls.pop(done)
        item = _answer(done)
        if run is not None and item is not None:
            report(run.name, item)
        else:
            run = queue.next_for(k)
        if run is not None:
            calls[crew[k].item.remote(run)] = (k, run)


def _answer(call: Any) -> str | None:
    """What a call returned; an error of the actor as the local launcher says it."""
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        answer: str | None = ray.get(call)
    except RayTaskError as error:
        if isinstance(error.cause, SteeringError):
            raise error.cause from None
        sys.stderr.write(f"{error}\n")
        raise failure(error.cause) from error
    except RayError as error:
        *_, last = str(error).strip().splitlines() or [type(error).__name__]
        raise death(f"({cut(last.strip(), 120)})") from error
    return answer
