"""The user's unmodified scripts, run the three ways that are documented, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from easyedit_split.easyedit.commands import doctor
from easyedit_split.easyedit.host import launcher, startup
from easyedit_split.types import ConfigError

from .hosts import CLONE, ROWS, STANDIN, TRAINING, write_yaml

LAUNCH = "import sys; from easyedit_split.easyedit.commands import easyedit; easyedit(sys.argv[1], sys.argv[2:])"


@pytest.fixture(scope="module")
def arguments(models: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Arguments of the two scripts on the stand-in."""
    folder = tmp_path_factory.mktemp("scripts")
    for name, rows in (("train", ROWS), ("test", [{"input": ROWS[0]["question"]}])):
        (folder / f"{name}.json").write_text(json.dumps(rows))
    train = write_yaml(folder / "generate.yaml", alg_name="SPLIT", **TRAINING)
    apply = write_yaml(folder / "apply.yaml", alg_name="SPLIT", layers=[1], multipliers=[2.0])
    common = [f"model_name_or_path={models / 'qwen2.5-tiny'}", "use_chat_template=true", "device=cpu"]
    vectors = folder / "vectors"
    generate = [f"steer_train_hparam_paths=['{train}']", f"steer_train_dataset={folder / 'train.json'}"]
    return {
        "vectors_generate.py": [*common, *generate, f"steer_vector_output_dirs=['{vectors}']"],
        "vectors_apply.py": [
            *common,
            f"apply_steer_hparam_paths=['{apply}']",
            f"steer_vector_load_dir=['{vectors / 'toy' / 'SPLIT_vector'}']",
            f"generation_data={folder / 'test.json'}",
            f"generation_output_dir={folder / 'out'}",
            "generation_params={max_new_tokens: 3, do_sample: false}",
        ],
        "out": [str(folder / "out" / "toy_results.json")],
    }


def run(python: str, *command: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    full = {**os.environ, "OMP_NUM_THREADS": "1", **env}
    full.pop("EASYEDIT_HOME", None) if "EASYEDIT_HOME" not in env else None
    return subprocess.run(
        [python, "-W", "ignore", *command], cwd=cwd, env=full, capture_output=True, text=True, check=False
    )


def test_plain_python_fails_without_the_plugin(arguments: dict[str, list[str]]) -> None:
    done = run(sys.executable, "vectors_generate.py", *arguments["vectors_generate.py"], cwd=STANDIN)
    assert done.returncode == 1
    assert "cannot import name" in done.stderr


@pytest.mark.long
def test_the_launcher_runs_unmodified_scripts(arguments: dict[str, list[str]], tmp_path: Path) -> None:
    """From another folder with EASYEDIT_HOME, then from the clone's own."""
    script = "vectors_generate.py"
    done = run(sys.executable, "-c", LAUNCH, script, *arguments[script], cwd=tmp_path, EASYEDIT_HOME=str(STANDIN))
    assert done.returncode == 0, done.stderr
    assert "Generated Vectors: {'toy': ['SPLIT']}" in done.stdout
    assert done.stderr.count("repaired EasyEdit2: steer.vector_generators") == 1
    assert "relative paths are read from there" in done.stderr
    done = run(sys.executable, "-c", LAUNCH, "vectors_apply.py", *arguments["vectors_apply.py"], cwd=STANDIN)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(Path(arguments["out"][0]).read_text())) == 1


@pytest.mark.long
def test_activate_makes_plain_python_work_and_deactivate_takes_it_back(
    arguments: dict[str, list[str]], tmp_path: Path
) -> None:
    """In a throw-away environment on top of this one."""
    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    python = str(tmp_path / "env" / "bin" / "python")
    (site,) = (tmp_path / "env").glob("lib/python*/site-packages")
    here = sysconfig.get_path("purelib")
    (site / "00_parent.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    script = ["vectors_generate.py", *arguments["vectors_generate.py"]]
    activate = "from easyedit_split.easyedit import commands; print(commands.activate()); print(commands.doctor())"
    done = run(python, "-c", activate, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (site / startup.FILE).read_text().count("\n") == 1
    assert "active: " in done.stdout
    done = run(python, *script, cwd=STANDIN)
    assert done.returncode == 0, done.stderr
    assert "Generated Vectors" in done.stdout
    loaded = "import sys; print(any(name.startswith('easyedit_split') for name in sys.modules))"
    imported = run(python, "-c", loaded, cwd=tmp_path)
    assert imported.stdout.strip() == "False"  # nothing until steer is imported
    deactivate = "from easyedit_split.easyedit.commands import deactivate as off; print(off()); print(off())"
    done = run(python, "-c", deactivate, cwd=tmp_path)
    assert done.stdout.splitlines()[1] == "was not activated"
    assert not (site / startup.FILE).exists()


def test_the_start_up_line_costs_under_five_milliseconds(tmp_path: Path) -> None:
    code = f"import time; t = time.perf_counter(); exec({startup.line()!r}); print(time.perf_counter() - t)"
    best = min(float(run(sys.executable, "-I", "-c", code, cwd=tmp_path).stdout) for _ in range(3))
    assert best < 0.005


def test_the_start_up_line_survives_an_uninstalled_package(tmp_path: Path) -> None:
    (tmp_path / "steer.py").write_text("value = 3\n")
    blocked = "import sys; sys.modules['easyedit_split'] = None; sys.path.insert(0, '.')"
    code = f"{blocked}; exec({startup.line('ours')!r}); import steer; print(steer.value)"
    done = run(sys.executable, "-c", code, cwd=tmp_path)
    assert done.stdout.strip() == "3", done.stderr


def test_registration_takes_under_a_second_beyond_the_hosts_import(tmp_path: Path) -> None:
    code = (
        "import time, torch, transformers; from easyedit_split.easyedit.host import registration;"
        "import sys; sys.path.insert(0, '.'); import yaml, pandas;"
        "t = time.perf_counter(); registration.register(); spent = time.perf_counter() - t;"
        "import steer.utils; alg = sys.modules['steer.utils.alg_dict'];"
        "t = time.perf_counter(); registration._fill_tables(alg); print(spent + time.perf_counter() - t)"
    )
    done = run(sys.executable, "-c", code, cwd=STANDIN)
    assert float(done.stdout) < 1.0, done.stderr


def test_a_script_that_is_not_there_stops_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="no such script here"):
        launcher.run("no_such.py", home=STANDIN)


def test_doctor_says_what_it_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EASYEDIT_HOME", raising=False)
    assert dict(doctor())["EasyEdit2"].startswith("not found")
    rows = dict(doctor(str(STANDIN)))
    assert rows["methods"] == "2 methods of its own (read, not run: --contract runs it)"
    assert "no clone of EasyEdit2" in dict(doctor(str(tmp_path)))["EasyEdit2"]


@pytest.mark.host
@pytest.mark.skipif(CLONE is None, reason="EASYEDIT_HOME names no clone")
@pytest.mark.timeout(900)
def test_the_clones_scripts_over_forms_families_concepts_and_templates(
    linked_clone: Path, models: Path, tmp_path: Path
) -> None:
    """24 runs of vectors_generate.py and vectors_apply.py."""
    matrix = Path(__file__).with_name("matrix.py")
    done = run(sys.executable, str(matrix), str(linked_clone), str(models), str(tmp_path / "out"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line) for line in (tmp_path / "out" / "matrix.jsonl").read_text().splitlines()]
    assert len(lines) == 24
    assert [line for line in lines if line["error"]] == []


@pytest.mark.host
@pytest.mark.skipif(CLONE is None, reason="EASYEDIT_HOME names no clone")
@pytest.mark.timeout(900)
def test_the_clones_steering_script_trains_and_applies_in_one(linked_clone: Path, models: Path, tmp_path: Path) -> None:
    """``steering.py`` hands vectors on in memory."""
    train = write_yaml(tmp_path / "g.yaml", alg_name="SPLIT", **{**TRAINING, "output_length": 512})
    apply = write_yaml(tmp_path / "a.yaml", alg_name="SPLIT", layers=[1, 2], multipliers=[1.0, 1.0])
    done = run(
        sys.executable, "-c", LAUNCH, "steering.py", f"model_name_or_path={models / 'qwen2.5-tiny'}", "device=cpu",
        f"steer_train_hparam_paths=[{train}]", f"apply_steer_hparam_paths=[{apply}]", "save_vectors=false",
        f"generation_output_dir={tmp_path / 'out'}", f"hydra.run.dir={tmp_path}", "hydra.output_subdir=null",
        "generation_params.max_new_tokens=3", cwd=linked_clone,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "out" / "reasoning_results.json").is_file()
    assert "reasoning: answers of 1 rows are cut at 256 tokens: rows 0" in done.stderr
