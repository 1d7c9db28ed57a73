"""All registries are filled the same way: a file of the folder or an entry point, and nothing else says a name."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest

from easyedit_split.datasets.base import DATASETS
from easyedit_split.interop.base import FORMATS
from easyedit_split.judges.base import JUDGES
from easyedit_split.model.sites import FAMILIES
from easyedit_split.registry import Registry, names_without_loading
from easyedit_split.steering.forms.base import FORMS
from easyedit_split.study.paper.launchers.base import LAUNCHERS
from easyedit_split.training.objectives.base import OBJECTIVES

REGISTRIES: tuple[Registry[Any], ...] = (FORMS, OBJECTIVES, FAMILIES, DATASETS, JUDGES, FORMATS, LAUNCHERS)
EVERY_REGISTRY = pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.kind)


@EVERY_REGISTRY
def test_help_texts_name_what_is_registered(registry: Registry[Any]) -> None:
    assert names_without_loading(registry.folder, registry.group) == registry.names()
    assert names_without_loading("easyedit_split.cli", "no.such.group") == ()


@EVERY_REGISTRY
def test_a_toy_is_found_through_its_entry_point_alone(registry: Registry[Any]) -> None:
    toys = {name for name in registry if _module(registry, name).startswith("toy_steering")}
    assert toys, "the tests' own plugin package adds one to every registry"
    sources = Path(importlib.import_module("easyedit_split").__file__ or "").parent.rglob("*.py")
    assert not any(f'"{name}"' in path.read_text("utf-8") for path in sources for name in toys)


@EVERY_REGISTRY
def test_a_built_in_is_one_file_of_its_folder_that_bears_its_name(registry: Registry[Any]) -> None:
    folder = Path(importlib.import_module(registry.folder).__file__ or "").parent
    built_in = [name for name in registry if not _module(registry, name).startswith("toy_steering")]
    assert len(built_in) >= 2
    for name in built_in:
        assert f'.register("{name}")' in (folder / f"{name}.py").read_text("utf-8")


def _module(registry: Registry[Any], name: str) -> str:
    """Where an entry was made; a family is data, and knows no module: the entry points do."""
    entry = registry[name]
    if inspect.isclass(entry):
        return entry.__module__
    return "toy_steering" if name.startswith("toy_") else registry.folder
