"""Nothing of the plugin stops the host: each upstream name that it touches is changed, one at a time, and caa runs."""

from __future__ import annotations

import copy
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

import easyedit_split.easyedit as plugin
from easyedit_split.easyedit import methods as plugin_methods
from easyedit_split.easyedit import watch
from easyedit_split.easyedit.host import files, isolation, startup
from easyedit_split.types import ConfigError

from .hosts import CLONE, ROWS, STANDIN, HostUnderTest, purge, top_config, write_yaml

FUNCTIONS = (
    "load_generate_vector_hparams",
    "load_apply_vector_hparams",
    "get_model",
    "ori_generate",
    "_save_and_clear_generation_state",
    "reset",
    "reset_all",
    "generate",
    "set_intervention",
    "generate_vectors",
    "apply_vectors",
    "apply_steering",
)
CLASSES = (
    "HyperParams",
    "BaseVectorApplier",
    "BaseVectorGenerator",
    "BaseModelWrapper",
    "BlockOutputWrapper",
    "MLPWrapper",
    "AttnWrapper",
    "Hack_no_grad",
    "Evaluator",
    "DatasetLoader",
)
DATA = (
    "HYPERPARAMS_CLASS_DICT",
    "METHODS_CLASS_DICT",
    "REQUIRED_DATASET_METHODS",
    "intervention_dict",
    "add_activations_dict",
    "from_position",
    "use_chat",
    "hparams_dict",
)
MODULES = (
    "utils/alg_dict",
    "utils/load_hparams",
    "models/model_wrapper",
    "vector_appliers/vector_applier",
    "vector_generators/vector_generators",
    "evaluate/evaluate",
)
"""What the plugin touches of EasyEdit2: functions, classes, data and modules."""

REMOVABLE = {"ori_generate", "_save_and_clear_generation_state", "set_intervention", "Evaluator", "DatasetLoader"}
"""What ``caa`` itself does without."""

BREAKAGES = [
    *((kind, name) for name in FUNCTIONS for kind in ("rename", "resign")),
    *(("rename", name) for name in (*CLASSES, *DATA, *MODULES)),
    *(("remove", name) for name in sorted(REMOVABLE)),
    ("freeze", "METHODS_CLASS_DICT"),
    ("freeze", "REQUIRED_DATASET_METHODS"),
]


NOT_OURS = r"(?<!model\.model\.)(?<!\.VLLM_model\.)(?<!super\(\)\.)"
"""What calls transformers' own functions of the same names."""


def broken(source: Path, to: Path, kind: str, name: str) -> bool:
    """Copy the host to ``to`` with one name changed everywhere, consistently; False where the host has no such name."""
    shutil.copytree(source / "steer", to / "steer", ignore=shutil.ignore_patterns("__pycache__", "benchmarks"))
    changed = 0
    if name in MODULES:
        file = to / "steer" / f"{name}.py"
        file.rename(file.with_name(f"{file.stem}_new.py"))
    for file in list((to / "steer").rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        new = CHANGES[kind](text, name)
        changed += new != text
        file.write_text(new, encoding="utf-8")
        if kind == "rename" and file.stem == name:  # a module of the function's name
            file.rename(file.with_name(f"{name}_new.py"))
    return bool(changed)


def renamed(text: str, name: str) -> str:
    if name in MODULES:
        package, name = name.split("/")
        return re.sub(rf"(\b{package}\.|from \.){name}\b", rf"\1{name}_new", text)
    return re.sub(rf"{NOT_OURS}\b{name}\b", f"{name}_new", text)


def resigned(text: str, name: str) -> str:
    """A further first argument, in the definition and in every call (transformers' own are left alone)."""
    text = re.sub(rf"(def {name}\()(self, |self\)|)", lambda m: definition(m[1], m[2]), text)
    return re.sub(rf"(?<!def ){NOT_OURS}\b{name}\((\)?)", lambda m: f'{name}("new"{")" if m[1] else ", "}', text)


def definition(head: str, own: str) -> str:
    return head + {"": "new, ", "self, ": "self, new, ", "self)": "self, new)"}[own]


def removed(text: str, name: str) -> str:
    """Without the function or class: what is left of it is called otherwise."""
    return re.sub(rf"^( *)(def|class) {name}\b", rf"\1\2 {name}_gone", text, flags=re.MULTILINE)


def frozen(text: str, name: str) -> str:
    text = re.sub(rf"^{name} ?= ?(\[[^\]]*\])", rf"{name} = tuple(\1)", text, flags=re.MULTILINE)
    return re.sub(
        rf"^{name} ?= ?{{", f"{name} = __import__('types').MappingProxyType(dict()) or {{", text, flags=re.MULTILINE
    )


CHANGES = {"rename": renamed, "resign": resigned, "remove": removed, "freeze": frozen}


@pytest.fixture(scope="module", params=["standin", pytest.param("clone", marks=pytest.mark.host)])
def source(request: pytest.FixtureRequest) -> Path:
    if request.param == "clone" and CLONE is None:
        pytest.skip("EASYEDIT_HOME names no clone")
    return STANDIN if request.param == "standin" else CLONE


@pytest.fixture(scope="module")
def loaded_once(qwen: Path) -> Iterator[None]:
    """The model is read once; whoever loads it gets a copy."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(qwen, dtype="float32"), AutoTokenizer.from_pretrained(qwen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AutoModelForCausalLM, "from_pretrained", lambda *_, **__: copy.deepcopy(model))
        patch.setattr(AutoTokenizer, "from_pretrained", lambda *_, **__: copy.deepcopy(tokenizer))
        yield


@pytest.fixture
def alone(source: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The plugin at its beginning, and no host imported; the session's host comes back afterwards."""
    kept = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "steer"}
    path = list(sys.path)
    plugin.unregister()
    purge()
    sys.path[:] = [entry for entry in path if not (Path(entry) / "steer").is_dir()]
    isolation._said.clear()
    yield
    plugin.unregister()
    purge()
    sys.path[:] = path
    if kept:
        sys.modules.update(kept)
        plugin.register()


def caa(host: HostUnderTest, folder: Path, model: Path, suffix: str = "") -> list[dict]:
    """Train and apply ``caa`` with the plugin registered, as the scripts do; ``suffix`` names a change."""
    train = write_yaml(folder / "train.yaml", alg_name="caa", layers=[1], multiple_choice=False)
    apply = write_yaml(folder / "apply.yaml", alg_name="caa", layers=[1], multipliers=[40.0])
    values = top_config(
        folder,
        model,
        steer_train_hparam_paths=[train],
        apply_steer_hparam_paths=[apply],
        steer_vector_load_dir=[str(folder / "vectors" / "toy" / "caa_vector")],
        generate_orig_output=False,
        generation_params={"max_new_tokens": 2, "do_sample": False},
    )
    config = host.config(**values)
    host.module("steer.utils")
    generators = host.module(_module("vector_generators/vector_generators", suffix))
    appliers = host.module(_module("vector_appliers/vector_applier", suffix))

    def call(owner: object, name: str, *args: object) -> object:
        changed = f"{name}_new" if suffix == f"rename:{name}" else name
        return getattr(owner, changed)(*(["new"] if suffix == f"resign:{name}" else []), *args)

    call(call(generators, "BaseVectorGenerator", config), "generate_vectors", {"toy": ROWS[:1]})
    applier = call(appliers, "BaseVectorApplier", config)
    call(applier, "apply_vectors")
    return call(applier, "generate", {"toy": [{"input": ROWS[0]["question"]}]})


def _module(name: str, suffix: str) -> str:
    return "steer." + (f"{name}_new" if suffix == f"rename:{name}" else name).replace("/", ".")


@pytest.mark.parametrize(("kind", "name"), BREAKAGES, ids=[f"{kind}-{Path(name).name}" for kind, name in BREAKAGES])
def test_caa_runs_whatever_upstream_changes(
    source: Path, alone: None, loaded_once: None, kind: str, name: str, qwen: Path, tmp_path: Path
) -> None:
    root = tmp_path / "host"
    if not broken(source, root, kind, name):
        pytest.skip("this host has no such name")
    sys.path.insert(0, str(root))
    plugin.register()
    (result,) = caa(
        HostUnderTest(source.name if source is STANDIN else "clone", root), tmp_path, qwen, f"{kind}:{name}"
    )
    assert len(result["pred"]) == 1


CLASH = """
import sys
sys.path.insert(0, {host!r})
import easyedit_split.easyedit as plugin
from easyedit_split.easyedit import methods
from dataclasses import replace
methods.BUILT_IN = (*methods.BUILT_IN, replace(methods.SPLIT, name="caa"))
plugin.register({prefer!r})
import steer.utils
tables = sys.modules["steer.utils.alg_dict"].METHODS_CLASS_DICT
print("ours" if tables["caa"]["train"] is methods.SPLIT.train else "theirs", "easyedit_split/caa" in tables)
"""


@pytest.mark.parametrize("prefer", [None, "ours", "theirs"])
def test_a_preference_said_before_the_import_holds(source: Path, prefer: str | None, tmp_path: Path) -> None:
    done = python(CLASH.format(host=str(source), prefer=prefer), tmp_path)
    assert done.stdout.splitlines()[-1] == f"{'ours' if prefer == 'ours' else 'theirs'} True", done.stderr
    said = [line for line in done.stderr.splitlines() if "has a method 'caa' of its own" in line]
    assert len(said) == (prefer is None)
    assert all(line.startswith("easyedit-split: EasyEdit2 ") for line in said)


def python(code: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    full = {**os.environ, "OMP_NUM_THREADS": "1", **env}
    command = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(command, cwd=folder, env=full, capture_output=True, text=True, check=False)


@pytest.fixture
def registered(source: Path, alone: None) -> HostUnderTest:
    sys.path.insert(0, str(source))
    return HostUnderTest("standin" if source is STANDIN else "clone", source)


def test_a_clash_stops_only_a_file_that_asks_for_the_name(
    registered: HostUnderTest, loaded_once: None, qwen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin.register()
    tables = registered.module("steer.utils.alg_dict")
    theirs = registered.module("steer.utils.hparams").HyperParams
    plugin.unregister()
    own = {"train": object(), "apply": object()}
    monkeypatch.setitem(tables.METHODS_CLASS_DICT, "SPLIT", own)
    monkeypatch.setitem(tables.HYPERPARAMS_CLASS_DICT, "SPLIT", {"train": theirs, "apply": theirs})
    plugin.register()
    assert tables.METHODS_CLASS_DICT["SPLIT"] is own
    assert len(caa(registered, tmp_path, qwen)) == 1
    file = write_yaml(tmp_path / "s.yaml", alg_name="SPLIT", layers=[1])
    config = registered.config(**top_config(tmp_path, qwen, steer_train_hparam_paths=[file]))
    generators = registered.module("steer.vector_generators.vector_generators")
    with pytest.raises(ConfigError, match=r"'SPLIT' is a method of EasyEdit2 and one of this package: choose with"):
        generators.BaseVectorGenerator(config)
    other = write_yaml(tmp_path / "o.yaml", alg_name="easyedit_split/SPLIT", layers=[1])
    config = registered.config(**top_config(tmp_path, qwen, steer_train_hparam_paths=[other]))
    assert list(generators.BaseVectorGenerator(config).hparams_dict) == ["easyedit_split/SPLIT"]


def test_a_broken_entry_point_is_one_warning(
    registered: HostUnderTest, loaded_once: None, qwen: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[easyedit_split.easyedit2_methods]\nshout = no_such_module:SHOUT\n")
    monkeypatch.syspath_prepend(tmp_path)
    plugin_methods._left_out.clear()
    plugin.register()
    assert len(caa(registered, tmp_path, qwen)) == 1
    assert sum("'shout' of an installed package could not be loaded" in line for line in caplog.messages) == 1
    file = write_yaml(tmp_path / "s.yaml", alg_name="shout", layers=[1])
    config = registered.config(**top_config(tmp_path, qwen, steer_train_hparam_paths=[file]))
    with pytest.raises(ConfigError, match=r"no method has alg_name 'shout' \(.*mend or uninstall that package"):
        registered.module("steer.vector_generators.vector_generators").BaseVectorGenerator(config)


def test_what_changed_is_said_once_with_the_commit(
    source: Path, alone: None, loaded_once: None, qwen: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert broken(source, tmp_path / "host", "rename", "METHODS_CLASS_DICT")
    git = tmp_path / "host" / ".git"
    git.mkdir()
    (git / "HEAD").write_text("f" * 40)
    sys.path.insert(0, str(tmp_path / "host"))
    plugin.register()
    caa(HostUnderTest("standin" if source is STANDIN else "clone", tmp_path / "host"), tmp_path, qwen)
    (said,) = [line for line in caplog.messages if "differs" in line]
    assert said.endswith("no method of this package is registered; the rest runs as it is")
    assert said.startswith("EasyEdit2 at fffffff differs (AttributeError: ")


def test_a_package_of_the_same_name_is_left_alone_in_silence(tmp_path: Path) -> None:
    (tmp_path / "steer").mkdir()
    (tmp_path / "steer" / "__init__.py").write_text("value = 3\n")
    (tmp_path / "steer" / "utils").mkdir()
    (tmp_path / "steer" / "utils" / "__init__.py").write_text("from steer import value\n")
    code = "import easyedit_split.easyedit as plugin; import steer.utils; print(steer.value, plugin.touched())"
    done = python(code, tmp_path, PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    assert (done.stdout.strip(), done.stderr) == ("3 ()", "")
    assert not watch.is_host([str(tmp_path / "steer")])
    assert watch.is_host([str(STANDIN / "steer")])


@pytest.mark.parametrize(
    ("alg_name", "message"),
    [
        ("SPILT", "no method has alg_name 'SPILT'; did you mean 'SPLIT'"),
        ("Split", "no method has alg_name 'Split'.*did you mean 'SPLIT'"),
        (None, "alg_name is missing .*write alg_name: SPLIT"),
    ],
)
def test_a_wrong_alg_name_is_one_sentence(
    registered: HostUnderTest, alg_name: str | None, message: str, qwen: Path, tmp_path: Path
) -> None:
    plugin.register()
    registered.module("steer.utils")
    values = {} if alg_name is None else {"alg_name": alg_name}
    file = write_yaml(tmp_path / "x.yaml", layers=[1], **values)
    config = registered.config(**top_config(tmp_path, qwen, steer_train_hparam_paths=[file]))
    with pytest.raises(ConfigError, match=message):
        registered.module("steer.vector_generators.vector_generators").BaseVectorGenerator(config)


def test_the_misspelt_name_says_what_to_write(caplog: pytest.LogCaptureFixture) -> None:
    files.check_alg_name("g.yaml", "spilt", "generate", ("spilt", "SPLIT"))
    assert "g.yaml: alg_name: spilt is EasyEdit2's own training" in caplog.text
    assert "write alg_name: SPLIT" in caplog.text


def test_the_hosts_evaluator_refuses_log_odds(registered: HostUnderTest) -> None:
    plugin.register()
    registered.module("steer.utils")
    if registered.is_real:
        pytest.importorskip("nltk")
    evaluator = registered.module("steer.evaluate.evaluate").Evaluator
    with pytest.raises(ConfigError, match=r"eval_methods holds log_odds.*vectors_apply.py with"):
        evaluator(mode="direct", save_results=False, eval_methods=["distinctness", "log_odds"])
    kept = evaluator(mode="direct", save_results=False, eval_methods=["distinctness"])
    assert kept.evaluate_from_direct([{"pred": ["a b c d"]}], "toy")["dist-1"] == 1.0


def test_an_error_inside_hydra_is_a_sentence_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @isolation.says_plainly
    def fail() -> None:
        raise ConfigError("layers is empty")

    with pytest.raises(ConfigError):
        fail()
    monkeypatch.setattr(isolation, "inside_hydra", lambda: True)
    with pytest.raises(SystemExit) as stopped:
        fail()
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "easyedit-split: layers is empty\n"


def test_without_hydra_the_launcher_says_what_to_install(tmp_path: Path) -> None:
    script = tmp_path / "needs.py"
    script.write_text("import hydra\n")
    code = "import sys; sys.modules['hydra'] = None; from easyedit_split.easyedit.host import launcher; "
    done = python(f"{code} launcher.run({str(script)!r}, home={str(STANDIN)!r})", tmp_path)
    assert "scripts need hydra, which is not installed: pip install easyedit-split[easyedit]" in done.stderr


def test_the_start_up_line_survives_a_package_that_fails(tmp_path: Path) -> None:
    broken_package = tmp_path / "easyedit_split" / "easyedit"
    broken_package.mkdir(parents=True)
    (tmp_path / "easyedit_split" / "__init__.py").write_text("")
    (broken_package / "__init__.py").write_text("raise RuntimeError('bad install')\n")
    (tmp_path / "steer.py").write_text("value = 3\n")
    code = f"import sys; sys.path.insert(0, '.'); exec({startup.line()!r}); import steer; print(steer.value)"
    done = python(code, tmp_path, PYTHONPATH="")
    assert done.stdout.strip() == "3"
    assert done.stderr.strip() == "easyedit-split: not active, RuntimeError: bad install"
