"""EasyEdit2's steering benchmarks with our methods: its own scripts where they can, our runners for the rest."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .hosts import CLONE, ROWS, TRAINING, write_yaml

pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(900),
    pytest.mark.skipif(CLONE is None, reason="EASYEDIT_HOME names no clone"),
]

RUNNER = Path(__file__).parents[2] / "examples" / "run_steer_benchmarks.py"
LAUNCH = "import sys; from easyedit_split.easyedit.commands import easyedit; easyedit(sys.argv[1], sys.argv[2:])"
QUIET = ["device=cpu", "generation_params.max_new_tokens=3", "generation_params.do_sample=false"]


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "EASYEDIT_HOME": str(cwd)}
    return subprocess.run(
        [sys.executable, "-W", "ignore", *command], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )


def hydra(folder: Path) -> list[str]:
    return [f"hydra.run.dir={folder}", "hydra.output_subdir=null"]


def test_axbench(linked_clone: Path, models: Path, tmp_path: Path) -> None:
    """``axbench_generate.py`` unmodified, then our runner in place of ``axbench_apply.py``."""
    train = write_yaml(tmp_path / "g.yaml", alg_name="SPLIT", **TRAINING)
    apply = write_yaml(tmp_path / "a.yaml", alg_name="SPLIT", layers=[1, 2], multipliers=[2.0, 2.0])
    model = [f"model_name_or_path={models / 'qwen2.5-tiny'}", *QUIET]
    done = run(
        "-c", LAUNCH, "axbench_generate.py", *model, *hydra(tmp_path), f"steer_train_hparam_paths=[{train}]",
        "steer_vector_output_dirs=[vectors/tiny/split]", "+axbench_output_dir_name=split_vector", cwd=linked_clone,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    wanted = [
        str(RUNNER), "axbench", *model, f"apply_steer_hparam_paths=[{apply}]", "+model_name=tiny", "+method=split",
        "vector_name=SPLIT_vector", f"generation_output_dir={tmp_path / 'out'}",
    ]  # fmt: skip
    done = run(*wanted, cwd=linked_clone)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = json.loads((tmp_path / "out" / "all_generation_results_m2.0.json").read_text())
    assert [row["concept_name"] for row in rows] == ["concept 0", "concept 1"]
    assert set(rows[0]) == {"concept_id", "concept_name", "generated_results", "eval_data", "multiplier"}
    assert all(len(row["generated_results"]) == 3 for row in rows)
    shutil.rmtree(linked_clone / "vectors" / "tiny" / "split" / "axbench_concept_1")
    done = run(*wanted, cwd=linked_clone)
    assert done.returncode == 2  # a missing piece is no success
    assert "axbench_concept_1" in done.stderr.splitlines()[-1]


def steer_eval_data(clone: Path) -> None:
    if "steer_eval" not in (clone / "hparams" / "Steer" / "dataset_format.yaml").read_text():
        pytest.skip("this commit has no SteerEval")
    folder = clone / "data" / "SteerEval" / "toy"
    folder.mkdir(parents=True)
    concepts = [{"concept": f"concept {c}", "concept_id": f"L1_{c}", "llm_description": "d"} for c in range(2)]
    rows = [{**row, **concept} for concept in concepts for row in ROWS[:4]]
    for name in ("train", "test"):
        (folder / f"{name}.json").write_text(json.dumps(rows))


def steer_eval_arguments(models: Path, tmp_path: Path) -> list[str]:
    train = write_yaml(tmp_path / "g.yaml", alg_name="SPLIT", **TRAINING)
    apply = write_yaml(tmp_path / "a.yaml", alg_name="SPLIT", layers=[1, 2], multipliers=[2.0, 2.0])
    return [
        f"model_name_or_path={models / 'qwen2.5-tiny'}", *QUIET, f"steer_train_hparam_paths=[{train}]",
        f"apply_steer_hparam_paths=[{apply}]", f"steer_vector_output_dirs=[{tmp_path / 'vectors'}]",
        "+dataset=SteerEval/toy", "+generate_vector=true", "+generate_response=true", "+layers=[1,2]",
        "+multipliers=[2.0,2.0]", "+best_multip_path=None", "+exp=test",
    ]  # fmt: skip


def test_steer_eval_by_our_runner(linked_clone: Path, models: Path, tmp_path: Path) -> None:
    steer_eval_data(linked_clone)
    arguments = [*steer_eval_arguments(models, tmp_path), f"generation_output_dir={tmp_path / 'ours' / 'SPLIT'}"]
    done = run(str(RUNNER), "steer_eval", *arguments, cwd=linked_clone)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = json.loads((tmp_path / "ours" / "SPLIT" / "all_generation_results.json").read_text())
    assert [row["concept_id"] for row in rows] == ["L1_0", "L1_1"]
    assert all(len(row["generated_results"]) == 4 for row in rows)
    assert set(rows[0]) == {
        "concept_id",
        "concept_name",
        "llm_description",
        "generation_prompt",
        "generated_results",
    }


def test_steer_eval_unmodified_where_it_trains_and_answers_in_one_run(
    linked_clone: Path, models: Path, tmp_path: Path
) -> None:
    """Its Hydra path is relative to the clone's root, where its own shell script expects it to lie."""
    steer_eval_data(linked_clone)
    shutil.copy(linked_clone / "examples" / "steer_eval.py", linked_clone / "steer_eval.py")
    arguments = [
        *steer_eval_arguments(models, tmp_path), *hydra(tmp_path), "+method=SPLIT_vector", "+use_pca=false",
        "+evaluate=false", f"generation_output_dir={tmp_path / 'theirs' / 'SPLIT'}", "generate_orig_output=false",
    ]  # fmt: skip
    done = run("-c", LAUNCH, "steer_eval.py", *arguments, cwd=linked_clone)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = json.loads((tmp_path / "theirs" / "SPLIT" / "all_generation_results_generation.json").read_text())
    assert [row["concept_id"] for row in rows] == ["L1_0", "L1_1"]
