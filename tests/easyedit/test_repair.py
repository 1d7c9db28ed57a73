"""The host is mended only where it is broken: import orders, lost exports, missing optional packages."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from easyedit_split.easyedit.host import repair
from easyedit_split.easyedit.host.placeholders import placeholders
from easyedit_split.types import ConfigError

from .hosts import ROWS, HostUnderTest, top_config, write_yaml

PLUGIN = "import easyedit_split.easyedit"
ORDERS = (
    f"{PLUGIN}; import steer",
    f"{PLUGIN}; import steer.models",
    f"{PLUGIN}; import steer.vector_appliers.vector_applier",
    f"{PLUGIN}; import steer.vector_generators.vector_generators",
    f"import steer; {PLUGIN}",
)
EACH = """
import sys
for order in {orders!r}:
    for name in [n for n in sys.modules if n.split(".")[0] == "steer" or n.startswith("easyedit_split")]:
        del sys.modules[name]
    sys.meta_path[:] = [f for f in sys.meta_path if type(f).__name__ != "Watcher"]
    try:
        exec(order)
    except ImportError as error:
        if order.startswith("import steer;"):
            print("the host alone:", error)  # without the plugin this commit cannot be imported here
            continue
        raise
    import steer.utils, steer.models
    import steer.vector_generators.vector_generators
    required = sys.modules["steer.vector_generators.vector_generators"].REQUIRED_DATASET_METHODS
    methods = sys.modules["steer.utils.alg_dict"].METHODS_CLASS_DICT
    assert {{"SPLIT", "easyedit_split/lora"}} <= set(methods) & set(required), order
    assert "sae_lens" not in sys.modules or sys.modules["sae_lens"].__file__
    print("works:", order)
"""


def python(code: str, path: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(path), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], env=env, cwd=path, capture_output=True, text=True, check=False
    )


def test_any_import_order(host: HostUnderTest) -> None:
    orders = (*ORDERS, f"{PLUGIN}; import steer.trainer") if host.is_real else ORDERS
    done = python(EACH.format(orders=orders), host.path)
    assert done.returncode == 0, done.stderr
    alone = done.stdout.count("the host alone:")
    assert alone <= 1
    assert done.stdout.count("works:") == len(orders) - alone


def test_the_repair_is_said_once_and_only_where_needed(host: HostUnderTest) -> None:
    packages = [host.module(name) for name in repair.PACKAGES]
    before = [dict(vars(package)) for package in packages]
    for package in packages:
        repair.restore_exports(package)  # mended or whole already
    assert [dict(vars(package)) for package in packages] == before
    with pytest.raises(AttributeError):
        packages[0].no_such_name  # noqa: B018


def test_definitions_leave_out_names_that_two_files_define(tmp_path: Path) -> None:
    for folder, text in (("a", "def one(): ...\ndef both(): ...\n"), ("b", "class Two: ...\ndef both(): ...\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "m.py").write_text(text)
    assert repair.definitions(tmp_path) == {"one": ("def", "a.m"), "Two": ("class", "b.m")}


def test_upstreams_own_method_runs_again(host: HostUnderTest, qwen: Path, tmp_path: Path) -> None:
    """``caa`` trains and steers, though python-dotenv, which it imports, may be missing."""
    train = write_yaml(tmp_path / "train.yaml", alg_name="caa", layers=[1], multiple_choice=False)
    apply = write_yaml(tmp_path / "apply.yaml", alg_name="caa", layers=[1], multipliers=[40.0])
    config = host.config(
        **top_config(
            tmp_path,
            qwen,
            steer_train_hparam_paths=[train],
            apply_steer_hparam_paths=[apply],
            steer_vector_load_dir=[str(tmp_path / "vectors" / "toy" / "caa_vector")],
        )
    )
    host.module("steer.vector_generators.vector_generators").BaseVectorGenerator(config).generate_vectors({"toy": ROWS})
    applier = host.module("steer.vector_appliers.vector_applier").BaseVectorApplier(config)
    applier.apply_vectors()
    (result,) = applier.generate({"toy": [{"input": ROWS[0]["question"]}]})
    assert result["pred"] != result["orig_pred"]


@pytest.mark.skipif(importlib.util.find_spec("sae_lens") is not None, reason="sae-lens is installed here")
def test_a_missing_package_disables_only_what_needs_it() -> None:
    with placeholders():
        from sae_lens import SAE
        from sae_lens.loading.pretrained_sae_loaders import load
    assert not [name for name in sys.modules if name.startswith("sae_lens")]
    with pytest.raises(ConfigError, match="pip install sae-lens"):
        SAE.from_pretrained("x")
    with pytest.raises(ConfigError, match="pip install sae-lens"):
        load()


def test_placeholders_leave_installed_packages_alone() -> None:
    import yaml

    before = set(sys.modules)
    with placeholders():
        assert sys.modules["yaml"] is yaml
    assert set(sys.modules) == before


@pytest.mark.skipif(importlib.util.find_spec("dotenv") is not None, reason="python-dotenv is installed here")
def test_without_dotenv_an_env_file_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with placeholders():
        from dotenv import load_dotenv
    assert load_dotenv() is False
    (tmp_path / ".env").write_text("HF_TOKEN=x")
    with pytest.raises(ConfigError, match="pip install python-dotenv"):
        load_dotenv()
