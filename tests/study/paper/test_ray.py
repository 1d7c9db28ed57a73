"""A study on Ray ends as a whole when one of its processes does, and listens nowhere but on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from easyedit_split.model.load_options import LoadOptions
from easyedit_split.study.paper.launchers import ray as launcher
from easyedit_split.study.paper.launchers.ray import OnRay, Worker, await_files, room, running_cluster
from easyedit_split.study.paper.plan import runs_of
from easyedit_split.study.paper.study import keep_plan
from easyedit_split.types import BadRowError, ConfigError, SteeringError

from .launched import items_in, started
from .on_ray import LOOPBACK, gone, listening, processes
from .tiny_study import ON_CPU, VANILLA, Made, contents, make, tiny_plan

WITH_GPUS = ({"CPU": 16.0, "GPU": 2.0}, {"CPU": 8.0, "GPU": 1.0}, {"CPU": 2.0})
ONLY_CORES = ({"CPU": 16.0}, {"CPU": 2.0})


@pytest.mark.parametrize(
    ("device", "machines", "workers", "runs", "count", "takes", "given"),
    [
        (None, WITH_GPUS, None, 9, 3, {"num_gpus": 1}, "cuda"),
        ("cuda", WITH_GPUS, 2, 9, 2, {"num_gpus": 1}, "cuda"),
        ("auto", WITH_GPUS, None, 2, 2, {"num_gpus": 1}, "auto"),
        ("cpu", WITH_GPUS, None, 99, 10, {"num_cpus": 1}, "cpu"),
        (None, ONLY_CORES, None, 99, 6, {"num_cpus": 1}, None),
        (None, ONLY_CORES, 12, 99, 12, {"num_cpus": 1}, None),
        (None, ONLY_CORES, 99, 99, 18, {"num_cpus": 1}, None),
        ("mps", ONLY_CORES, None, 99, 1, {"num_cpus": 1}, "mps"),
        ("cpu", ONLY_CORES, None, 0, 1, {"num_cpus": 1}, "cpu"),
    ],
)
def test_a_gpu_each_or_a_core_each_and_no_more_than_asked_for(
    device: str | None, machines: tuple[dict[str, float], ...], workers: int | None, runs: int, count: int,
    takes: dict[str, int], given: str | None,
) -> None:  # fmt: skip
    loading = LoadOptions(device=device, dtype="bfloat16", attention="eager")
    found = room(loading, machines)
    assert found.count(workers, runs) == count
    assert found.takes == takes
    assert found.loading == replace(loading, device=given)


@pytest.mark.parametrize(
    ("device", "machines", "said"),
    [("cuda:1", WITH_GPUS, "leave :N out"), ("cuda", ONLY_CORES, "no GPU"), (None, ({},), "no core")],
)
def test_a_device_that_ray_cannot_give_is_refused(
    device: str | None, machines: tuple[dict[str, float], ...], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        room(LoadOptions(device=device), machines)


@pytest.mark.parametrize("found", [None, ModuleSpec("ray", None)], ids=["nothing", "a folder of that name"])
def test_without_ray_the_sentence_says_how_to_install_it(
    found: ModuleSpec | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher.importlib.util, "find_spec", lambda name: found)
    with pytest.raises(ConfigError, match=r"pip install 'easyedit-split\[ray\]'"):
        OnRay()


def test_a_running_cluster_is_joined_as_ray_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert running_cluster() is None
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("10.0.0.1:6379\n", "utf-8")
    assert running_cluster() == "10.0.0.1:6379"
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.2:6379")
    assert running_cluster() == "10.0.0.2:6379"
    monkeypatch.setenv("RAY_ADDRESS", "local")
    assert running_cluster() is None


def test_where_ray_keeps_its_address_is_where_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    utils = pytest.importorskip("ray._common.utils")
    for name in ("RAY_ADDRESS", "RAY_TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("TMPDIR", "RAY_TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
        place = Path(utils.get_ray_address_file(None))
        assert place.is_relative_to(tmp_path / name)
        place.parent.mkdir(parents=True)
        place.write_text(name, "utf-8")
        assert running_cluster() == name


def test_a_machine_without_the_studys_folder_or_versions_says_so(tmp_path: Path) -> None:
    here, plan = Path.cwd(), tiny_plan(tmp_path, (VANILLA,))
    keep_plan(tmp_path / "out", plan)
    Worker(tmp_path / "out", plan, ON_CPU, here).ready()
    with pytest.raises(ConfigError, match="file system that all machines"):
        Worker(tmp_path / "elsewhere", plan, ON_CPU, here).ready()
    with pytest.raises(ConfigError, match="file system that all machines"):
        Worker(tmp_path / "out", replace(plan, texts=9), ON_CPU, here).ready()
    old = replace(plan, versions={"torch": "1.0"})
    keep_plan(tmp_path / "old", old)
    with pytest.raises(ConfigError, match=r"other versions than the study \(.*torch"):
        Worker(tmp_path / "old", old, ON_CPU, here).ready()


def test_files_that_never_appear_are_not_passed_over(made: Made, tmp_path: Path) -> None:
    await_files(list(runs_of(*made)), 0.0)
    with pytest.raises(SteeringError, match="does not see all of it"):
        await_files(list(runs_of(tmp_path, made[1])), 0.01)


def test_errors_that_cross_ray_are_as_they_were(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ray = pytest.importorskip("ray")
    from ray.exceptions import ActorDiedError, RayTaskError

    def raised(error: Exception) -> str:
        def get(call: object) -> None:
            raise error

        monkeypatch.setattr(ray, "get", get)
        with pytest.raises(SteeringError) as found:
            launcher._answer(None)
        return str(found.value)

    bad = BadRowError("row 3 is empty")
    task = [RayTaskError("item", "its traceback", error).as_instanceof_cause() for error in (bad, KeyError("x"))]
    assert raised(task[0]) == str(bad)
    assert capsys.readouterr().err == ""
    assert raised(task[1]) == "a process of the study failed: KeyError('x'); its place is above"
    assert "its traceback" in capsys.readouterr().err
    assert raised(ActorDiedError()).startswith("a process of the study ended (")


Stop = Callable[[int, dict[int, str]], None]
"""Given the command's process id and what lives of its Ray, ids and names."""


def kill_a_worker(pid: int, living: dict[int, str]) -> None:
    os.kill(next(pid for pid, name in living.items() if name.startswith("ray::Worker")), signal.SIGKILL)


def press_ctrl_c(pid: int, living: dict[int, str]) -> None:
    os.killpg(pid, signal.SIGINT)


def kill_the_command(pid: int, living: dict[int, str]) -> None:
    os.kill(pid, signal.SIGKILL)


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
@pytest.mark.parametrize(
    ("stop", "workers", "code", "said"),
    [
        (kill_a_worker, 2, 2, "error: a process of the study ended ("),
        (press_ctrl_c, 1, 130, "what is made is kept\n"),
        (kill_the_command, 1, -signal.SIGKILL, ""),
    ],
)
def test_stopped_on_ray_nothing_is_left_and_it_goes_on_to_the_same_bytes(
    stop: Stop, workers: int, code: int, said: str, made: Made, environment: dict[str, str]
) -> None:
    pytest.importorskip("ray")
    folder = made[0].parent / stop.__name__
    with started(folder.parent, folder.name, workers, "ray", environment) as process:
        while process.poll() is None and not items_in(folder / "log.jsonl"):
            time.sleep(0.01)
        living = processes(environment)
        addresses = listening(list(living))
        stop(process.pid, living)
        _, errors = process.communicate()
    assert process.returncode == code, errors
    assert said in errors
    assert addresses
    assert set(addresses) <= set(LOOPBACK)
    assert gone(environment, 60.0)
    before = items_in(folder / "log.jsonl")
    make(folder, made[1])
    assert 0 < before < items_in(folder / "log.jsonl")
    assert contents(folder / "runs") == contents(made[0] / "runs")


def test_control_a_process_and_where_it_listens_are_seen(environment: dict[str, str]) -> None:
    code = "import socket; s = socket.create_server(('127.0.0.1', 0)); print('up', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert list(processes(environment)) == [process.pid]
        assert listening([process.pid]) == [LOOPBACK[0]]
        assert not gone(environment, 0.2)
        process.kill()
    assert gone(environment, 0.0)
    assert "00000000" not in LOOPBACK
