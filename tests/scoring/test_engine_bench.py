"""The benchmark of the engine: what it counts, what it times, what it makes of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from ..benchmark_files import benchmark

CPU = torch.device("cpu")


def test_turns_count_work_memory_and_time() -> None:
    turns = benchmark("engine_turns")
    a = torch.ones(64, 64)
    kept: list[torch.Tensor] = []

    def product() -> None:
        for _ in range(3):
            a @ a

    def hungry() -> Any:
        kept.append(torch.ones(16 << 20))  # 64 MB
        return product

    works = [turns.Work("lean", lambda: product), turns.Work("hungry", hungry)]
    costs = turns.take_turns(CPU, works, 2, 5.0)
    assert costs["lean"].flops == costs["hungry"].flops == 3 * 2 * 64**3
    assert costs["lean"].seconds >= 0
    if sys.platform == "linux":
        assert costs["hungry"].peak_mb >= 60
        assert costs["lean"].peak_mb < 60


def test_work_without_memory_is_said_and_does_not_stop_the_others() -> None:
    turns = benchmark("engine_turns")

    def none_left() -> Any:
        raise torch.OutOfMemoryError

    costs = turns.take_turns(CPU, [turns.Work("large", none_left), turns.Work("small", lambda: lambda: None)], 1, 1.0)
    assert costs["large"] is None
    assert costs["small"] is not None


def test_a_whole_job_by_hand() -> None:
    rows = benchmark("engine_rows")
    step = {"case": "c", "form": "vector", "batch": 4, "directions": 1, "engine_s": 2.0, "plain_s": 8.0,
            "engine_ready_s": 1.0}  # fmt: skip
    point = {"engine_s": 0.5, "plain_s": 3.0, "easyedit_s": 9.0, "engine_ready_s": 3.0, "pairs": 2}
    job = rows.job_row(step, point, epochs=2, points=3, pairs=8)
    assert job["engine_s"] == 2 * 2 * 2.0 + 3 * 8 * 0.5 + 1.0 + 3.0 * 4
    assert job["plain_s"] == 2 * 2 * 8.0 + 3 * 8 * 3.0
    assert job["plain_x"] == pytest.approx(job["plain_s"] / job["engine_s"])
    assert "easyedit_s" not in job, "nothing is said of who ran only one of both"


@pytest.mark.long
def test_the_run_on_tiny_models(tmp_path: Path) -> None:
    out = tmp_path / "tiny.json"
    command = [sys.executable, "benchmarks/engine.py", "--tiny", "--repeats", "1", "--seconds", "1", "--models", "1",
               "--json", str(out)]  # fmt: skip
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    measured = json.loads(out.read_text("utf-8"))
    assert measured["notes"] == []
    assert {row["part"] for row in measured["rows"]} == {"sweep", "step", "means"}
    for row in measured["rows"]:
        assert row["engine_flops"] < row["plain_flops"], row["case"]
        assert row.get("difference_nats", 0) < 1e-3
