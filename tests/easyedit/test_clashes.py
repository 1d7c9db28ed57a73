"""Clashes, broken entry points, wrong names and missing packages: each is one sentence, and the host runs on."""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import easyedit_split.easyedit as plugin
from easyedit_split.easyedit import methods as plugin_methods
from easyedit_split.easyedit import watch
from easyedit_split.easyedit.host import files, isolation, launcher, said, startup
from easyedit_split.types import ConfigError

from .breakages import broken, caa, python
from .hosts import STANDIN, HostUnderTest, top_config, write_yaml


@pytest.mark.parametrize("prefer", [None, "ours", "theirs"])
def test_a_preference_said_before_the_import_holds(
    registered: HostUnderTest, prefer: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    named = replace(plugin_methods.SPLIT, name="caa")
    monkeypatch.setattr(plugin_methods, "BUILT_IN", (*plugin_methods.BUILT_IN, named))
    plugin.register(prefer)
    tables = registered.module("steer.utils.alg_dict").METHODS_CLASS_DICT
    assert (tables["caa"]["train"] is named.train) == (prefer == "ours")
    assert "easyedit_split/caa" in tables
    assert sum("has a method 'caa' of its own" in line for line in caplog.messages) == (prefer is None)


def test_lines_carry_a_prefix_where_nobody_else_shows_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = logging.LogRecord("easyedit_split.x", logging.WARNING, "", 0, "said", None, None)
    said._LINES.emit(record)
    assert capsys.readouterr().err == ""  # the process has a handler of its own
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    said._LINES.emit(record)
    assert capsys.readouterr().err == "easyedit-split: said\n"


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
    (line,) = [line for line in caplog.messages if "differs" in line]
    assert line.endswith("no method of this package is registered; the rest runs as it is")
    assert line.startswith("EasyEdit2 at fffffff differs (AttributeError: ")


def test_a_package_of_the_same_name_is_left_alone_in_silence(tmp_path: Path) -> None:
    (tmp_path / "steer").mkdir()
    (tmp_path / "steer" / "__init__.py").write_text("value = 3\n")
    (tmp_path / "steer" / "utils").mkdir()
    (tmp_path / "steer" / "utils" / "__init__.py").write_text("from steer import value\n")
    loaded = "'easyedit_split.easyedit.host.registration' in sys.modules"
    code = f"import sys, easyedit_split.easyedit; import steer.utils; print(steer.value, {loaded})"
    done = python(code, tmp_path, PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    assert (done.stdout.strip(), done.stderr) == ("3 False", "")
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


def test_without_hydra_the_launcher_says_what_to_install(
    registered: HostUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs.py").write_text("import hydra\n")
    monkeypatch.setitem(sys.modules, "hydra", None)
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.chdir(registered.path)
    with pytest.raises(ConfigError, match=r"scripts need hydra, .*: pip install easyedit-split\[easyedit\]"):
        launcher.run(tmp_path / "needs.py", home=registered.path)


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


def test_without_hydra_the_benchmarks_say_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = Path(__file__).parents[2] / "examples" / "run_steer_benchmarks.py"
    spec = importlib.util.spec_from_file_location("run_steer_benchmarks", runner)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "hydra", None)
    with pytest.raises(
        ConfigError, match=r"need hydra, which is not installed: pip install easyedit-split\[easyedit\]"
    ):
        module.top_config(tmp_path, "axbench", [])
