"""Every block of SPLIT.md's third section and of docs/easyedit.md runs as written, from a bare clone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from easyedit_split.easyedit import yaml_files
from easyedit_split.easyedit.settings import apply_settings
from easyedit_split.sweep_table import read_sweep
from easyedit_split.training.recipes import hparams_folder

from .hosts import CLONE, HostUnderTest, top_config

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((hparams_folder() / yaml_files.FOLDER).rglob("*.yaml"))


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``examples`` and a clone ``EasyEdit`` that has no data and no models."""
    if CLONE is None:
        pytest.skip("EASYEDIT_HOME names no clone")
    folder = tmp_path_factory.mktemp("bare")
    (folder / "examples").symlink_to(ROOT / "examples")
    (folder / "EasyEdit").mkdir()
    for entry in CLONE.iterdir():
        if entry.name not in ("data", "models", "vectors", "generation", "outputs"):
            (folder / "EasyEdit" / entry.name).symlink_to(entry)
    return folder


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    env.pop("EASYEDIT_HOME", None)
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done


@pytest.mark.host
@pytest.mark.timeout(900)
def test_the_documents_run_as_written(bare: Path) -> None:
    _, section = blocks("examples/SPLIT.md", "bash")
    if "torch_dtype" in (bare / "EasyEdit" / "hparams" / "Steer" / "vector_generate.yaml").read_text():
        section = section.replace(" dtype=", " torch_dtype=")
    done = run(bare, "bash", "-e", "-c", section)
    assert "Traceback" not in done.stderr
    table = read_sweep(bare / "EasyEdit" / "generation" / "psychopathy_log_odds.csv")
    assert set(table["split"]) == {"test"}
    curve = table.groupby("m1")["pref"].mean()
    assert curve[4.0] > curve[0.0] + 0.5  # it steers
    results = json.loads((bare / "EasyEdit" / "generation" / "psychopathy_results.json").read_text())
    assert len(results) == 4
    for code in blocks("docs/easyedit.md", "python"):  # in the clone's root, which is where ``steer`` is found
        run(bare / "EasyEdit", sys.executable, "-W", "ignore", "-c", code)
    for code in blocks("docs/easyedit.md", "bash"):
        run(bare, "bash", "-e", "-c", code)


def test_the_guides_yaml_files_are_files_of_their_phases(host: HostUnderTest, tmp_path: Path) -> None:
    generate, apply = blocks("examples/SPLIT.md", "yaml")
    for phase, text in (("generate", generate), ("apply", apply)):
        (tmp_path / f"{phase}.yaml").write_text(text)
        assert list(loaded(host, tmp_path, phase, tmp_path / f"{phase}.yaml")) == ["SPLIT"]


def loaded(host: HostUnderTest, folder: Path, phase: str, path: Path) -> dict:
    key = "steer_train_hparam_paths" if phase == "generate" else "apply_steer_hparam_paths"
    dirs = {"steer_vector_load_dir": [str(folder)]}  # 133d030 takes one for each file
    config = host.config(**top_config(folder, folder / "qwen", **{key: [str(path)]}, **dirs))
    return getattr(host.module("steer.utils.load_hparams"), f"load_{phase}_vector_hparams")(config)


def test_shipped_files_are_the_recipes_and_the_host_loads_them(host: HostUnderTest, tmp_path: Path) -> None:
    wanted = {hparams_folder() / yaml_files.FOLDER / path: text for path, text in yaml_files.files()}
    assert {path: path.read_text(encoding="utf-8") for path in SHIPPED} == wanted, "renew them: see yaml_files"
    assert len(SHIPPED) > 40
    for path in SHIPPED:
        name = yaml.safe_load(path.read_text(encoding="utf-8"))["alg_name"]
        phase = "apply" if path.name.startswith("apply") else "generate"
        (read,) = loaded(host, tmp_path, phase, path).items()
        assert read[0] == name
        if phase == "apply":
            assert apply_settings(read[1], str(path)).multipliers
