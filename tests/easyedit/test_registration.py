"""Our names in the host's tables: once, never over its own, and gone again afterwards."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import easyedit_split.easyedit as plugin
from easyedit_split.easyedit.host.names import is_ambiguous, own_method
from easyedit_split.easyedit.methods import BUILT_IN, Method, _left_out, methods
from easyedit_split.types import ConfigError

from .hosts import HostUnderTest

NAMES = [name for method in BUILT_IN for name in (method.name, f"easyedit_split/{method.name}")]


@pytest.fixture
def tables(host: HostUnderTest) -> tuple[dict, dict, list]:
    registry = host.module("steer.utils.alg_dict")
    generators = host.module("steer.vector_generators.vector_generators")
    return registry.HYPERPARAMS_CLASS_DICT, registry.METHODS_CLASS_DICT, generators.REQUIRED_DATASET_METHODS


def state(tables: tuple[dict, dict, list]) -> tuple[dict, dict, list]:
    hyperparams, functions, required = tables
    return dict(hyperparams), dict(functions), list(required)


def test_every_name_is_in_every_table(tables: tuple[dict, dict, list]) -> None:
    hyperparams, functions, required = tables
    assert {method.name for method in BUILT_IN} == {"SPLIT", "local_weight", "lora", "vector", "DiffMean"}
    for name in NAMES:
        assert hyperparams[name]["train"](layers=[1]).alg_name == name
        assert hyperparams[name]["apply"]().alg_name == name
        assert callable(functions[name]["train"])
        assert required.count(name) == 1
    assert {"caa", "sft"} <= set(functions)  # the host's own are there still


def test_hparams_carry_the_hosts_base_fields(tables: tuple[dict, dict, list]) -> None:
    hyperparams = tables[0]
    theirs = set(hyperparams["caa"]["train"].__dataclass_fields__) - {"multiple_choice"}
    assert theirs <= set(hyperparams["SPLIT"]["train"].__dataclass_fields__)
    assert hyperparams["SPLIT"]["train"]().seed == hyperparams["caa"]["train"]().seed


def test_registering_twice_changes_nothing(tables: tuple[dict, dict, list]) -> None:
    before, touched = state(tables), plugin.touched()
    plugin.register()
    assert state(tables) == before
    assert plugin.touched() == touched


def test_unregister_restores_the_host(host: HostUnderTest, tables: tuple[dict, dict, list]) -> None:
    wrappers = host.module("steer.models.model_wrapper")
    loaders = host.module("steer.utils.load_hparams")
    registered = state(tables)
    ours = wrappers.BaseModelWrapper.reset, loaders.load_apply_vector_hparams
    plugin.unregister()
    try:
        hyperparams, functions, required = tables
        assert not set(NAMES) & (set(hyperparams) | set(functions) | set(required))
        assert wrappers.BaseModelWrapper.reset is not ours[0]
        assert loaders.load_apply_vector_hparams is not ours[1]
        assert plugin.touched() == ()
    finally:
        plugin.register()
    assert {name: sorted(value) for name, value in registered[1].items()} == {
        name: sorted(value) for name, value in state(tables)[1].items()
    }
    assert registered[2] == state(tables)[2]


@pytest.fixture
def theirs(tables: tuple[dict, dict, list]) -> object:
    """The host gets a method SPLIT of its own before the plugin comes."""
    plugin.unregister()
    hyperparams, functions, _ = tables
    own = {"train": object(), "apply": object()}
    hyperparams["SPLIT"], functions["SPLIT"] = {"train": hyperparams["caa"]["train"]}, own
    yield own
    plugin.unregister()
    del hyperparams["SPLIT"], functions["SPLIT"]
    plugin.register()


def test_a_clash_leaves_the_host_its_method(
    theirs: object, tables: tuple[dict, dict, list], caplog: pytest.LogCaptureFixture
) -> None:
    plugin.register()
    assert tables[1]["SPLIT"] is theirs
    assert "has a method 'SPLIT' of its own: ours is easyedit_split/SPLIT" in caplog.text
    assert is_ambiguous("SPLIT")
    assert "easyedit_split/SPLIT" in tables[1]


@pytest.mark.parametrize("by_environment", [False, True])
def test_theirs_is_kept_when_preferred(
    theirs: object, tables: tuple[dict, dict, list], by_environment: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by_environment:
        monkeypatch.setenv("EASYEDIT_SPLIT_PREFER", "theirs")
    plugin.register(None if by_environment else "theirs")
    assert tables[1]["SPLIT"] is theirs
    assert own_method("SPLIT") is None
    assert own_method("easyedit_split/SPLIT") is not None
    assert "easyedit_split/SPLIT" in tables[1]
    assert "SPLIT" not in tables[2]  # REQUIRED_DATASET_METHODS is theirs too


def test_ours_replaces_until_unregister_when_preferred(theirs: object, tables: tuple[dict, dict, list]) -> None:
    plugin.register("ours")
    assert tables[1]["SPLIT"] is not theirs
    plugin.unregister()
    assert tables[1]["SPLIT"] is theirs


def test_a_preference_that_is_neither_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASYEDIT_SPLIT_PREFER", "mine")
    with pytest.raises(ConfigError, match="allowed: ours, theirs"):
        plugin.register()


THIRD_PARTY = """
from dataclasses import dataclass
from easyedit_split.easyedit import Method

@dataclass
class Fields:
    alg_name: str = ""
    layers: object = None
    save_vectors: bool = True
    steer_vector_output_dir: str = ""
    steer_train_dataset: object = None
    loudness: float = 1.0

def train(hparams, dataset, dataset_name=None):
    return {"layer_0": (hparams.loudness, len(dataset), dataset_name)}

def apply(hparams, wrapper=None, vectors=None):
    return wrapper

SHOUT = Method(name="shout", train=train, apply=apply, train_fields=Fields, package="shouting")
WRONG = "not a method"
"""


@pytest.fixture
def third_party(host: HostUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A real installed package: a module and its metadata with an entry point."""
    (tmp_path / "shouting.py").write_text(THIRD_PARTY)
    info = tmp_path / "shouting-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shouting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[easyedit_split.easyedit2_methods]\nshout = shouting:SHOUT\n")
    monkeypatch.syspath_prepend(tmp_path)
    plugin.unregister()
    yield info
    sys.modules.pop("shouting", None)
    monkeypatch.undo()
    plugin.unregister()
    plugin.register()


def test_a_third_partys_method_runs_in_the_hosts_flow(third_party: Path, host: HostUnderTest, tmp_path: Path) -> None:
    from .hosts import ROWS, top_config, write_yaml

    plugin.register()
    file = write_yaml(tmp_path / "shout.yaml", alg_name="shout", layers=[0], loudness=3.0)
    config = host.config(**top_config(tmp_path, tmp_path, steer_train_hparam_paths=[file]))
    generator = host.module("steer.vector_generators.vector_generators").BaseVectorGenerator(config)
    assert generator.generate_vectors({"toy": ROWS}) == {"toy": {"shout": {"layer_0": (3.0, len(ROWS), "toy")}}}
    assert "shouting/shout" in host.module("steer.utils.alg_dict").METHODS_CLASS_DICT
    bad = write_yaml(tmp_path / "bad.yaml", alg_name="shout", loudnes=3.0)
    config = host.config(**top_config(tmp_path, tmp_path, steer_train_hparam_paths=[bad]))
    with pytest.raises(ConfigError, match=r"unknown key 'loudnes'.*did you mean 'loudness'"):
        host.module("steer.vector_generators.vector_generators").BaseVectorGenerator(config)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("shout = shouting:WRONG", "is no Method of that name"),
        ("loud = shouting:SHOUT", "is no Method of that name"),
        ("shout = shouting:MISSING", "could not be loaded"),
        ("SPLIT = shouting:OURS", "comes from easyedit_split and from shouting:OURS"),
    ],
)
def test_a_broken_plugin_is_named_and_left_out(
    third_party: Path, entry: str, message: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    module = tmp_path / "shouting.py"
    module.write_text(THIRD_PARTY + "\nOURS = Method(name='SPLIT', train=train, apply=apply, package='shouting')\n")
    (third_party / "entry_points.txt").write_text(f"[easyedit_split.easyedit2_methods]\n{entry}\n")
    _left_out.clear()
    assert set(methods()) == {method.name for method in BUILT_IN}
    assert set(methods()) == {method.name for method in BUILT_IN}
    assert sum(message in line for line in caplog.messages) == 1
    assert isinstance(BUILT_IN[0], Method)
