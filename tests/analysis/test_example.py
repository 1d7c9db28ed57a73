"""The example runs as its own text says, and the Python blocks of docs/analysis.md run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.analysis.planted import ROOT, sweep_table


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "examples/analysis_report.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.long
def test_example_writes_tables_figures_and_fits(tmp_path: Path) -> None:
    done = run("--planted", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    written = {path.name for path in tmp_path.iterdir()}
    assert {"fits.json", "table2.md", "table5.tex", "table6.csv", "planted_axbench_test.png"} <= written
    chosen = done.stdout.count("the wanted answers are likeliest here")
    refused = done.stdout.count("no m makes the wanted answers likelier than m = 0")
    assert chosen + refused == 10  # every curve gets an m or the reason why not
    assert chosen > refused
    greedy = run("--planted", "--aim", "preference", "--out", str(tmp_path))
    assert greedy.stdout.count("limited by the utility budget") == 10


def test_example_goes_on_where_a_curve_has_a_single_pair(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = sweep_table(rng, [{"form": "vector"}], n_pairs=1)
    table.to_csv(tmp_path / "single.csv", index=False)
    table.drop(columns="pair").assign(form="lora").to_csv(tmp_path / "bare.csv", index=False)
    done = run(str(tmp_path / "single.csv"), str(tmp_path / "bare.csv"), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert "drawn without a band: vector: bootstrap needs at least two pairs" in done.stdout
    assert "1 pairs are too few for a paired test" in done.stdout
    assert done.stdout.count("interval from residuals: the table has no pairs") == 1
    assert (tmp_path / "out" / "curves.png").is_file()


def test_example_names_m_where_it_has_no_interval(tmp_path: Path) -> None:
    table = sweep_table(np.random.default_rng(0), [{"form": "vector"}], n_pairs=9)
    table["concept"] = np.where(table["pair"] == "8", "rare", "common")
    table.to_csv(tmp_path / "s.csv", index=False)
    done = run(str(tmp_path / "s.csv"), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert re.search(r"vector: m = \d+\.\d+ \(no interval\)", done.stdout), done.stdout


def test_example_wants_a_sweep(tmp_path: Path) -> None:
    assert run("--out", str(tmp_path)).returncode == 2


def test_documented_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    keys = [
        {"model": "m", "dataset": "persona", "split": s, "form": "lora", "objective": "sft"} for s in ("train", "test")
    ]
    sweep_table(np.random.default_rng(0), keys).to_parquet("sweep.parquet")
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "analysis.md").read_text(), flags=re.S)
    assert blocks
    scope: dict[str, object] = {}
    for block in blocks:
        exec(block, scope)
    assert (tmp_path / "figure.pdf").is_file()
