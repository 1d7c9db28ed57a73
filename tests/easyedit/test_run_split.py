"""The recipe's script: SPLIT.md's commands exactly as written, and no success where a piece is missing."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from easyedit_split.datasets import DATASETS

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def main():
    return runpy.run_path(str(EXAMPLES / "run_SPLIT.py"))["main"]


SMALL = ["--dataset", "testbed:power", "--model_name", "testbed:qwen2", "--intervention_method", "vector"]


@pytest.mark.long
def test_the_guides_commands_run_as_written(tmp_path: Path) -> None:
    """SPLIT.md's first ``bash`` block, in an empty folder that holds ``examples``; the other needs a clone."""
    blocks = re.findall(r"```bash\n(.*?)```", (EXAMPLES / "SPLIT.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 2
    (tmp_path / "examples").symlink_to(EXAMPLES)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["sh", "-e", "-c", blocks[0]], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "generation/qwen2/split/power/vector/m4/power_results.json").read_text())
    assert len(rows) == 64
    assert any(row["pred"] != row["orig_pred"] for row in rows)
    table = pd.read_csv(tmp_path / "loss/qwen2/split/power/split_vector.csv")
    preference = table.groupby("m1")["pref"].mean()
    assert preference[8.0] > preference[0.0] + 0.5  # it steers
    assert preference[-4.0] < preference[0.0]
    told = done.stdout.split("the wanted answers are likeliest here")
    assert len(told) == 3, "two recommendations"
    assert "--refine" not in told[2]


def test_the_guide_names_files_that_the_datasets_read() -> None:
    guide = (EXAMPLES / "SPLIT.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \| (.*data/.*?) \|", guide, flags=re.M)
    assert {name for name, _ in rows} == {"psychopathy", "powerseeking", "axbench"}
    for name, cell in rows:
        known = {file for files in DATASETS[name].files.values() for file in files}
        named = set(re.findall(r"data/([\w.]+)", cell))
        assert named
        assert named <= known, name


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--method", "split", "--mode", "loss"], "no vectors; train them first with --mode generate"),
        (["--method", "split", "--mode", "apply"], "no vectors; train them first with --mode generate"),
        (["--method", "diff_mean", "--intervention_method", "lora"], "diff_mean fits vectors only, not lora"),
        (["--method", "split", "--set", "train.lrr=1"], "lrr"),
    ],
)
def test_a_missing_or_impossible_piece_is_no_success(
    main, extra: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SMALL, "--base_dir", str(tmp_path), "--limit", "2", *extra]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_all_leaves_out_what_cannot_be_and_says_so(main, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*SMALL, "--base_dir", str(tmp_path), "--mode", "generate", "--limit", "2", "--set", "train.epochs=1"]
    assert main([*arguments, "--method", "all", "--intervention_method", "all"]) == 0
    out = capsys.readouterr().out
    assert "left out: diff_mean has no lora" in out
    found = sorted(path.parent.name for path in tmp_path.glob("vectors/*/*/*/*/steering"))
    assert len(found) == 10  # 3 forms x 3 objectives, and DiffMean
    assert "diff_mean_vector" in found


def test_upstreams_names_of_methods_are_understood(main, tmp_path: Path) -> None:
    arguments = [*SMALL, "--base_dir", str(tmp_path), "--mode", "generate", "--limit", "2"]
    assert main([*arguments, "--method", "caa"]) == 0
    assert len(list(tmp_path.glob("vectors/qwen2/diff_mean/power/diff_mean_vector/layer_*.pt"))) == 1
