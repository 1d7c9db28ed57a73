"""The benchmark at its quick size meets thresholds that leave room for small numbers; the docs give the full size."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.analysis.planted import ROOT


@pytest.mark.long
@pytest.mark.parametrize("what", ["recovery", "coverage"])
def test_quick_benchmark_passes_its_own_check(what: str) -> None:
    command = [sys.executable, "-W", "error", "benchmarks/curves.py", what, "--quick", "--check", "--jobs", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
