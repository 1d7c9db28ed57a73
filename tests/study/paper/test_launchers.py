"""Every registered launcher makes the same study to the byte, says every item once, and passes errors on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from easyedit_split.model.load_options import LoadOptions
from easyedit_split.study.paper.launchers.base import LAUNCHERS, Launcher, Report
from easyedit_split.study.paper.launchers.local import OnThisMachine
from easyedit_split.study.paper.plan import StudyPlan, runs_of
from easyedit_split.study.paper.run_queue import RunQueue
from easyedit_split.study.paper.work import items_of

from .launched import ROOT, started
from .tiny_study import ASKED, ON_CPU, VANILLA, Made, contents, make, tiny_plan, write_pairs

EVERY_LAUNCHER = pytest.mark.parametrize("name", LAUNCHERS.names())


def check_study(folder: Path, whole: Made, said: list[str]) -> None:
    """It is the one that this process made, and every item was said once."""
    assert contents(folder / "runs") == contents(whole[0] / "runs")
    runs = runs_of(*whole)
    assert sorted(said) == sorted(f"{run.cell.name}: {item.name}" for run in runs for item in items_of(run))


def short(line: str) -> str:
    """A run and item as ``check_study`` names them, without model, data and seed."""
    run, _, item = line.rpartition(": ")
    return f"{run.split(', ')[-2]}: {item}"


@pytest.mark.long
@EVERY_LAUNCHER
def test_two_workers_make_the_same_bytes(
    name: str,
    made: Made,
    tmp_path: Path,
    environment: dict[str, str],
) -> None:
    if name == "ray":
        pytest.importorskip("ray")
    with started(made[0].parent, name, 2, name, environment) as process:
        out, errors = process.communicate()
    assert process.returncode == 0, errors
    check_study(made[0].parent / name, made, [short(line) for line in out.splitlines()])


@pytest.mark.long
@EVERY_LAUNCHER
def test_an_error_of_a_worker_is_one_sentence(name: str, tmp_path: Path, environment: dict[str, str]) -> None:
    if name == "ray":
        pytest.importorskip("ray")
    make(tmp_path / "out", tiny_plan(tmp_path, (VANILLA,)))
    write_pairs(tmp_path / "pairs.jsonl", changed=True)
    with started(tmp_path, "out", 2, name, environment) as process:
        out, errors = process.communicate()
    assert process.returncode == 2
    assert out == ""
    assert re.fullmatch(r"error: \S+identity\.json: the model or its pairs are not what they were \(.+\): .+\n", errors)


class Wrong(OnThisMachine):
    """Right in everything but what a subclass spoils."""

    def launch(self, folder: Path, plan: StudyPlan, loading: LoadOptions, workers: int | None, report: Report) -> None:
        super().launch(folder, plan, loading, 1, report)


class Forgets(Wrong):
    def launch(self, folder: Path, plan: StudyPlan, *more: Any) -> None:
        super().launch(folder, replace(plan, cells=plan.cells[:-1]), *more)


class HasItsOwnWay(Wrong):
    def launch(self, folder: Path, plan: StudyPlan, *more: Any) -> None:
        super().launch(folder, replace(plan, prompts=3), *more)


class SaysItTwice(Wrong):
    def launch(self, folder: Path, plan: StudyPlan, loading: LoadOptions, workers: int | None, report: Report) -> None:
        def twice(run: str, item: str) -> None:
            report(run, item)
            report(run, item)

        super().launch(folder, plan, loading, workers, twice)


@pytest.mark.parametrize(
    ("wrong", "found"), [(Wrong, False), (Forgets, True), (HasItsOwnWay, True), (SaysItTwice, True)]
)
def test_control_a_wrong_launcher_is_found(wrong: type[Launcher], found: bool, tmp_path: Path) -> None:
    said: list[str] = []
    plan = tiny_plan(tmp_path, (VANILLA, ASKED))
    make(tmp_path / "whole", plan)
    wrong().launch(tmp_path / "other", plan, ON_CPU, 1, lambda run, item: said.append(short(f"{run}: {item}")))
    if found:
        with pytest.raises(AssertionError):
            check_study(tmp_path / "other", (tmp_path / "whole", plan), said)
    else:
        check_study(tmp_path / "other", (tmp_path / "whole", plan), said)


def test_a_process_stays_with_a_model_and_dataset(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path)
    other = replace(plan.datasets[0], label="other")
    queue = RunQueue(runs_of(tmp_path, replace(plan, datasets=(plan.datasets[0], other))))
    first, second = queue.next_for("a"), queue.next_for("b")
    assert first is not None
    assert second is not None
    assert second.dataset != first.dataset
    rest = [queue.next_for("a") for _ in range(len(queue))]
    assert [run.dataset for run in rest if run] == ["pairs"] * 3 + ["other"] * 3
    assert queue.next_for("a") is None


def test_devices_follow_the_users_word() -> None:
    local = OnThisMachine()
    assert [local.count(ON_CPU, *asked) for asked in ((3, 10), (None, 1), (8, 2), (2, 0))] == [3, 1, 2, 1]


FIRST = """
import multiprocessing, os, signal, sys, time
from easyedit_split.study.paper.launchers import local


def work(watched):
    if watched:
        local.threading.Thread(target=local._end_with_the_first, daemon=True).start()
    print(os.getpid(), flush=True)
    time.sleep(60)


if __name__ == "__main__":
    multiprocessing.get_context("spawn").Process(target=work, args=(sys.argv[1] == "watched",), daemon=True).start()
    time.sleep(60)
"""


@pytest.mark.parametrize("watched", [True, False])
def test_a_process_does_not_outlive_the_first_one(tmp_path: Path, watched: bool) -> None:
    """However that ends: in the middle of an item that takes hours, it would go on beside the same command."""
    (tmp_path / "first.py").write_text(FIRST, "utf-8")
    line = [sys.executable, "first.py", "watched" if watched else "left"]
    with subprocess.Popen(
        line, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        worker = int(first.stdout.readline())
        first.kill()
        first.wait()
        until = time.monotonic() + (30 if watched else 1)
        while lives(worker) and time.monotonic() < until:
            time.sleep(0.05)
        left = lives(worker)
        if left:
            os.kill(worker, signal.SIGKILL)
    assert left == (not watched), "control: without the watch it is left"


def lives(process: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
