"""Registries: one new file or one entry point is enough; a clash or a broken plugin is a sentence."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import easyedit_split.registry as registry_module
from easyedit_split.registry import Registry, nearest
from easyedit_split.types import ConfigError

FOLDER = "plugin_folder_for_tests"
Entry = type[object]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An importable package whose ``REGISTRY`` is empty; test modules are files in it."""
    path = tmp_path / FOLDER
    path.mkdir()
    (path / "__init__.py").write_text(
        f"from easyedit_split.registry import Registry\nREGISTRY = Registry('thing', {FOLDER!r}, group={FOLDER!r})\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield path
    for name in [name for name in sys.modules if name.split(".")[0] == FOLDER]:
        del sys.modules[name]


def add(folder: Path, module: str, name: str) -> None:
    (folder / f"{module}.py").write_text(
        f"from {FOLDER} import REGISTRY\n\n\n@REGISTRY.register({name!r})\nclass Thing:\n    pass\n"
    )


def registry_of(folder: Path) -> Registry[Entry]:
    module = __import__(FOLDER)
    registry: Registry[Entry] = module.REGISTRY
    return registry


def plug(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> None:
    def found(*, group: str) -> tuple[EntryPoint, ...]:
        return tuple(point for point in points if point.group == group)

    monkeypatch.setattr(registry_module, "entry_points", found)


def test_a_file_in_the_folder_is_found_without_a_second_edit(folder: Path) -> None:
    add(folder, "one", "b")
    add(folder, "two", "a")
    registry = registry_of(folder)
    assert registry.names() == tuple(registry) == ("a", "b")
    assert "a" in registry
    assert "c" not in registry
    assert 3 not in registry
    assert registry["a"].__module__ == f"{FOLDER}.two"


def test_nothing_is_imported_before_it_is_asked_for(folder: Path) -> None:
    (folder / "broken.py").write_text("raise RuntimeError('imported')\n")
    registry = registry_of(folder)
    with pytest.raises(RuntimeError, match="imported"):
        registry.names()


def test_after_a_failed_import_half_a_registry_does_not_pass_for_a_whole_one(folder: Path) -> None:
    add(folder, "a_good", "a")
    (folder / "broken.py").write_text("raise RuntimeError('imported')\n")
    registry = registry_of(folder)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="imported"):
            registry.names()
    (folder / "broken.py").unlink()
    assert registry.names() == ("a",)


def test_an_unknown_name_gets_the_nearest(folder: Path) -> None:
    add(folder, "one", "vector")
    with pytest.raises(ConfigError, match=r"unknown thing 'vectr' \(did you mean 'vector'\?\); allowed: vector"):
        registry_of(folder)["vectr"]


def test_a_name_taken_twice_is_an_error(folder: Path) -> None:
    add(folder, "one", "same")
    add(folder, "two", "same")
    with pytest.raises(ConfigError, match=r"thing 'same' is registered twice, by .*one.* and .*two.*: rename one"):
        registry_of(folder).names()


def test_registering_the_same_class_again_is_none(folder: Path) -> None:
    registry = registry_of(folder)
    registry.register("int")(int)
    registry.register("int")(int)
    assert registry.names() == ("int",)


def test_an_entry_point_is_filed_under_its_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plug(
        monkeypatch,
        EntryPoint("theirs", "collections:OrderedDict", FOLDER),
        EntryPoint("elsewhere", "collections:Counter", "another.group"),
    )
    add(folder, "one", "ours")
    assert registry_of(folder).names() == ("ours", "theirs")


@pytest.mark.parametrize("value", ["no_such_module:Thing", "collections:NoSuchThing"])
def test_a_broken_plugin_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    plug(monkeypatch, EntryPoint("theirs", value, FOLDER))
    with pytest.raises(ConfigError, match=rf"thing 'theirs' .* could not be loaded \({value}: .*fix or uninstall"):
        registry_of(folder).names()


def test_a_plugin_cannot_take_a_built_in_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch, EntryPoint("ours", "collections:OrderedDict", FOLDER))
    add(folder, "one", "ours")
    with pytest.raises(ConfigError, match="'ours' is registered twice"):
        registry_of(folder).names()


def test_nearest_only_guesses_what_is_near() -> None:
    assert nearest("lrr", ("lr", "epochs")) == " (did you mean 'lr'?); allowed: lr, epochs"
    assert nearest("zzz", ("lr", "epochs")) == "; allowed: lr, epochs"
    assert nearest("x", ()) == "; allowed: none"
