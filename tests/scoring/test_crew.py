"""Several processes that share a sweep: the same table byte for byte, killed and resumed or not."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from easyedit_split.files.journal import Journal
from easyedit_split.scoring.crew import Alone, Crew, crew_here
from easyedit_split.scoring.engine.config import EngineConfig
from easyedit_split.scoring.engine.scorer import scores_over_m
from easyedit_split.scoring.sweep_encoded import sweep_encoded
from easyedit_split.steering.artifact import Artifact
from easyedit_split.types import Scores

from ..small import made, world
from .sweeps import CONCEPTS, same_table, two

ROOT = Path(__file__).parents[2]
M = (0.1, 1 / 3, 0.0, -2.0, 0.7)


class Threads:
    """A crew of threads: shares as Accelerate does, and meets at a barrier."""

    def __init__(self, rank: int, size: int, table: list[Any], barrier: threading.Barrier) -> None:
        self.rank, self.size, self._table, self._barrier = rank, size, table, barrier

    def share(self, items: Sequence[Any]) -> list[Any]:
        each, extra = divmod(len(items), self.size)
        first = self.rank * each + min(self.rank, extra)
        return list(items[first : first + each + (self.rank < extra)])

    def everyone(self, found: Sequence[Any]) -> list[Any]:
        self._table[self.rank] = list(found)
        self._barrier.wait(60)
        together = [item for part in self._table for item in part]
        self._barrier.wait(60)
        return together


def by_crew(size: int, run: Callable[[Crew], pd.DataFrame]) -> list[Any]:
    """What each member of a crew returns or raises."""
    table, barrier, results = [None] * size, threading.Barrier(size), [None] * size

    def work(rank: int) -> None:
        try:
            results[rank] = run(Threads(rank, size, table, barrier))  # type: ignore[call-overload]
        except BaseException as error:
            results[rank] = error  # type: ignore[call-overload]
            barrier.abort()

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def further(table: pd.DataFrame) -> tuple[float, ...]:
    return (5.0,) if table.m1.max() < 5 else ()


class Sweeps:
    """Sweeps of two concepts; each member has a model of its own."""

    def __init__(self, path: Path, config: EngineConfig | None = None) -> None:
        self.path, self.config = path, config
        self.scored: list[int] = []
        self.worlds = [world(pairs=CONCEPTS) for _ in range(4)]
        self.artifacts = [two(here) for here in self.worlds]

    def run(self, crew: Crew, limit: int = 99, journal: bool = False) -> pd.DataFrame:
        here, artifact, done = self.worlds[crew.rank], self.artifacts[crew.rank], 0

        def scorer(*args: Any, **kwargs: Any) -> Iterator[Scores]:
            nonlocal done
            for scores in scores_over_m(*args, config=self.config, **kwargs):
                if done == limit:
                    raise KeyboardInterrupt
                done += 1
                self.scored.append(crew.rank)
                yield scores

        kept = Journal.beside(self.path, {"run": 1}, crew.rank) if journal else None
        return sweep_encoded(
            here.model, here.rows, artifact, M, next_points=further, scorer=scorer, journal=kept, crew=crew
        )


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("config", [None, EngineConfig(launch_tokens=300)])
def test_every_member_holds_the_table_of_one(tmp_path: Path, size: int, config: EngineConfig | None) -> None:
    sweeps = Sweeps(tmp_path / "t.csv", config)
    whole = sweeps.run(Alone())
    items = len(sweeps.scored)
    sweeps.scored.clear()
    for table in by_crew(size, sweeps.run):
        same_table(table, whole)
    assert len(sweeps.scored) == items  # nothing twice
    assert len({*sweeps.scored}) == size


@pytest.mark.parametrize("again", [1, 2, 3])
def test_a_killed_crews_work_is_gone_on_with_by_any_other(tmp_path: Path, again: int) -> None:
    sweeps = Sweeps(tmp_path / "table.csv")
    whole = sweeps.run(Alone())
    items = len(sweeps.scored)
    sweeps.scored.clear()
    ends = by_crew(2, lambda crew: sweeps.run(crew, limit=2 + crew.rank, journal=True))
    assert all(isinstance(end, BaseException) for end in ends)
    before = len(sweeps.scored)
    assert before == 5
    for table in by_crew(again, lambda crew: sweeps.run(crew, journal=True)):
        same_table(table, whole)
    assert len(sweeps.scored) == items
    assert len(list(tmp_path.glob(".table.csv*.journal"))) == max(2, again)
    Journal.beside(sweeps.path, {"run": 2}).finish()
    assert len(list(tmp_path.glob(".table.csv*.journal"))) == max(2, again)  # another run's stay
    Journal.beside(sweeps.path, {"run": 1}).finish()
    assert not list(tmp_path.glob(".*"))


def test_a_process_alone_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert isinstance(crew_here(), Alone)
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert isinstance(crew_here(), Alone)


@pytest.mark.long
def test_two_processes_write_the_file_of_one(tmp_path: Path) -> None:
    here = world()
    Artifact({"default": made(here)}).save_pretrained(tmp_path / "artifact")
    here.model.save_pretrained(tmp_path / "model")
    here.tokenizer.save_pretrained(tmp_path / "model")
    lines = [f'{{"prompt": "{p.pair.prompt}", "positive": "{p.pair.positive}", "negative": "{p.pair.negative}"}}'
             for p in here.rows]  # fmt: skip
    (tmp_path / "pairs.jsonl").write_text("\n".join(lines), "utf-8")

    def run(launcher: list[str], to: str) -> str:
        command = ["-m", "easyedit_split.cli.main", "sweep", "--model", str(tmp_path / "model"), "--data",
                   str(tmp_path / "pairs.jsonl"), "--intervention", str(tmp_path / "artifact"), "--m", "-1:1:5",
                   "--out", str(tmp_path / to)]  # fmt: skip
        settings = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        done = subprocess.run([*launcher, *command], capture_output=True, text=True, cwd=tmp_path, env=settings)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines",
              "1", "--mixed_precision", "no", "--dynamo_backend", "no"]  # fmt: skip
    said = run(launch, "two.csv")
    run([sys.executable], "one.csv")
    assert (tmp_path / "two.csv").read_bytes() == (tmp_path / "one.csv").read_bytes()
    assert said.count("25 rows") == 1
    assert not list(tmp_path.glob(".*.journal"))
