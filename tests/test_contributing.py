"""What CONTRIBUTING.md promises of adding one thing is so: folders, registries, classes and their members."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from easyedit_split.registry import Registry

from .contracts.test_registries import REGISTRIES

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
HOMES = {registry.folder: registry for registry in REGISTRIES}
ELSEWHERE = {"model/families": "easyedit_split.model.sites"}
"""Where a registry is not in its folder's ``base.py``."""


def rows(text: str) -> dict[str, str]:
    """Folder to what is needed, of every row of the table that names a file to write."""
    found = re.findall(r"^\| an? [^|]+ \| `easyedit_split/([^`|]+)/NAME.py` \| (.+) \|$", text, re.MULTILINE)
    return dict(found)


def members(classes: list[Any]) -> set[str]:
    """Every name that a class declares or inherits; a protocol's are its annotations too."""
    return {name for entry in classes for name in dir(entry)} | {
        name for entry in classes for parent in entry.__mro__ for name in vars(parent).get("__annotations__", {})
    }


def wrong(folder: str, needs: str) -> list[str]:
    """What one row says that is not so."""
    if not (ROOT / "easyedit_split" / folder).is_dir():
        return [f"no folder {folder}"]
    registry = HOMES.get(f"easyedit_split.{folder.replace('/', '.')}")
    if registry is None:
        return [] if folder == "cli/commands" else [f"{folder} is no registry's"]
    module = importlib.import_module(ELSEWHERE.get(folder, f"{registry.folder}.base"))
    code = re.findall(r"`([^`]+)`", needs)
    said = [name for name in code if name.endswith(".register")]
    found = [] if [name.lstrip("@") for name in said] == [f"{_name(module, registry)}.register"] else [f"{said}"]
    classes = [getattr(module, name, None) for name in code if name[:1].isupper() and name.isidentifier()]
    if not classes or None in classes:
        return [*found, f"{folder}: a class that is not there"]
    known = members(classes)
    return found + [name for name in code if name.islower() and name not in known]


def _name(module: Any, registry: Registry[Any]) -> str:
    return next(name for name, value in vars(module).items() if value is registry)


def test_the_table_is_true() -> None:
    assert [said for folder, needs in rows(TEXT).items() for said in wrong(folder, needs)] == []


def test_every_registry_has_its_row_and_its_entry_points() -> None:
    told = {f"easyedit_split.{folder.replace('/', '.')}" for folder in rows(TEXT)}
    assert told >= set(HOMES)
    groups = re.search(r"through the entry-point groups ([^;]+);", TEXT)
    assert groups is not None
    names = [name.removeprefix("easyedit_split") for name in re.findall(r"`([^`]+)`", groups[1])]
    assert {f"easyedit_split{name}" for name in names} == {registry.group for registry in REGISTRIES}


@pytest.mark.parametrize(
    ("folder", "needs"),
    [
        ("steering/shapes", "a `Form`, one `@FORMS.register` line"),
        ("text", "a `Form`, one `@FORMS.register` line"),
        ("steering/forms", "a `Form` with `weight_sum`, one `@FORMS.register` line"),
        ("steering/forms", "a `Shape`, one `@FORMS.register` line"),
        ("steering/forms", "a `Form`, one `@SHAPES.register` line"),
        ("steering/forms", "a class, one `@FORMS.register` line"),
        ("judges", "a `Judge` with `verdict`, one `@JUDGES.register` line"),
    ],
)
def test_control_what_is_not_so_is_found(folder: str, needs: str) -> None:
    assert wrong(folder, needs)
