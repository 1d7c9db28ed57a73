"""Who may import whom, read off the syntax tree of every module; the table is explained in docs/architecture.md."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "easyedit_split"

ROWS = (
    ("files",),  # with the modules at the root: no torch
    ("text", "model"),
    ("datasets",),
    ("steering",),
    ("scoring",),
    ("training",),
    ("judges", "testbed", "api", "interop"),
    ("study",),
    ("easyedit",),
    ("cli", "__main__"),
)
"""A folder imports from the rows above its own and from itself; the folders of one row know nothing of each other."""

ROOT_MODULES = frozenset(path.stem for path in (ROOT / PACKAGE).glob("*.py")) - {"__init__", "__main__", "api"}
SAME_ROW = {("judges", "testbed"), ("__main__", "cli")}
"""The testbed's exact judge reads the testbed's grammar; ``python -m easyedit_split`` is the command line."""
LATE = {("model", "testbed"), ("datasets", "testbed")}
"""Imports against the direction, made inside a function when ``testbed:NAME`` is asked for."""

ANALYSIS_READERS = ("api", "study", "easyedit", "cli")
HEAVY = ("torch", "transformers", "peft", "safetensors")
HOOKS = (
    "steering.site_hooks",
    "model.hooks",
    "scoring.engine.capture",
    "scoring.engine.entry",
    "scoring.engine.anatomy",
)
"""The modules of the core that may hook a model."""


@dataclass(frozen=True)
class Import:
    """One import: the importing module, what it names, whether inside a function."""

    module: str
    target: str
    late: bool

    @property
    def parts(self) -> tuple[str, str]:
        return part_of(self.module), part_of(self.target)


def part_of(module: str) -> str:
    """The folder that a module stands in, or its own name at the root."""
    names = module.split(".")
    return names[1] if len(names) > 1 else ""


def row_of(part: str) -> int | None:
    if part in ROOT_MODULES:
        return 0
    return next((k for k, row in enumerate(ROWS) if part in row), None)


def module_name(path: Path) -> str:
    names = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


def modules() -> Iterator[tuple[str, str, bool]]:
    """``(name, source, is a package)`` of every module."""
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        yield module_name(path), path.read_text("utf-8"), path.name == "__init__.py"


NAMES = frozenset(name for name, _, _ in modules())


def imports_of(module: str, source: str, package: bool = False) -> list[Import]:
    """Every import that runs; those for type checkers alone do not."""
    base = module.split(".") if package else module.split(".")[:-1]
    found: list[Import] = []

    def visit(node: ast.AST, late: bool) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            found.extend(Import(module, alias.name, late) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = [*base[: len(base) - node.level + 1], *(node.module or "").split(".")] if node.level else []
            target = ".".join(name for name in names if name) or str(node.module)
            named = {f"{target}.{alias.name}" for alias in node.names} & NAMES  # from . import sweep
            found.extend(Import(module, name, late) for name in named or {target})
        inside = late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(ast.parse(source), False)
    return found


def violations(imports: list[Import]) -> list[str]:
    """One sentence for each import of the package's own modules that goes against the table."""
    wrong = []
    for found in imports:
        if not found.target.startswith(f"{PACKAGE}."):
            continue
        source, target = found.parts
        if source in ("", target) or (found.late and (source, target) in LATE):
            continue
        above, own = row_of(target), row_of(source)
        if source == "analysis":
            allowed = above == 0
        elif target == "analysis":
            allowed = source in ANALYSIS_READERS
        elif above is None or own is None:
            allowed = False
        else:
            allowed = above < own or own == above == 0 or (source, target) in SAME_ROW
        if not allowed:
            wrong.append(f"{found.module} imports {found.target}")
    return wrong


ALL = [found for module, source, package in modules() for found in imports_of(module, source, package)]


def test_every_folder_has_its_row() -> None:
    parts = {part_of(module) for module, _, package in modules()} - {"", "analysis"} - ROOT_MODULES
    assert parts == {part for row in ROWS for part in row}
    assert len(ROOT_MODULES) + len(("__init__", "api")) <= 10


def test_imports_go_one_way() -> None:
    assert violations(ALL) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("types", "from .model.sites import Site"),
        ("steering.forms.vector", "from ...training.objectives.base import Objective"),
        ("training.objectives.reps", "from easyedit_split.testbed import grammar"),
        ("text.prompt_tokens", "from ..model.sites import Site"),
        ("steering.attach", "from ..training.loop import train"),
        ("scoring.score", "from ..training import loop"),
        ("model.load", "from ..testbed.models import checkpoint_folder"),
        ("training.loop", "def f():\n    from ..easyedit.train import train"),
        ("scoring.sweep", "from ..analysis.fit.fit_curve import fit_curve"),
        ("analysis.fit.fit_curve", "from ...scoring.sweep_encoded import sweep"),
        ("analysis.regions", "import easyedit_split.scoring"),
        ("cli.commands.train", "from ...nowhere import x"),
    ],
)
def test_control_imports_against_the_table_are_found(module: str, source: str) -> None:
    assert len(violations(imports_of(f"{PACKAGE}.{module}", source))) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("training.loop", "from ..steering.attach import attach\nfrom ..scoring.sweep_encoded import sweep"),
        ("model.load", "def f():\n    from ..testbed.models import checkpoint_folder"),
        ("text.prompt_tokens", "from .chat import Chat\nfrom ..types import Pair"),
        ("cli.commands.fit", "from ...analysis.fit.fit_curve import fit_curve"),
        ("analysis.regions", "from ..types import Pair\nfrom easyedit_split.analysis.fit.curves import curve"),
        ("model.sites", "if TYPE_CHECKING:\n    from ..training.loop import train"),
    ],
)
def test_control_imports_along_the_table_are_not(module: str, source: str) -> None:
    assert violations(imports_of(f"{PACKAGE}.{module}", source)) == []


def circle(edges: dict[str, set[str]]) -> list[str]:
    """One circle of a graph, if there is any."""
    done: set[str] = set()

    def walk(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        for after in sorted(edges.get(node, ())):
            if found := walk(after, [*path, node]):
                return found
        done.add(node)
        return []

    return next((found for node in sorted(edges) if (found := walk(node, []))), [])


def test_no_module_waits_for_itself() -> None:
    edges: dict[str, set[str]] = {}
    for found in ALL:
        if not found.late and found.target in NAMES - {found.module}:
            edges.setdefault(found.module, set()).add(found.target)
    assert circle(edges) == []
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


def test_the_host_part_has_no_circle_even_inside_functions() -> None:
    edges: dict[str, set[str]] = {}
    for found in ALL:
        if found.module.startswith(host := f"{PACKAGE}.easyedit.host") and found.target.startswith(f"{host}."):
            edges.setdefault(found.module, set()).add(found.target)
    assert circle(edges) == []
    assert edges[f"{host}.registration"] >= {f"{host}.files", f"{host}.reset"}


def test_only_the_bridge_imports_easyedit2() -> None:
    users = {found.module for found in ALL if found.target.split(".")[0] == "steer"}
    assert all(part_of(module) == "easyedit" for module in users)
    assert imports_of("m", "def f():\n    import steer.utils")[0].target.split(".")[0] == "steer"


def test_analysis_and_the_root_never_name_torch() -> None:
    light = {"analysis", "files", *ROOT_MODULES}
    heavy = [f for f in ALL if part_of(f.module) in light and f.target.split(".")[0] in HEAVY]
    assert heavy == []
    assert [f for f in ALL if f.module == f"{PACKAGE}.steering.site_hooks" and f.target == "torch"]


def test_only_these_hook_a_model() -> None:
    hooking = {module.removeprefix(f"{PACKAGE}.") for module, source, _ in modules() if "register_forward" in source}
    assert {"steering.site_hooks", "model.hooks"} <= hooking
    assert {module for module in hooking if not module.startswith("easyedit.")} <= set(HOOKS)


def loaded(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return {name.split(".")[0] for name in done.stdout.split()}


def test_the_root_and_analysis_load_without_torch() -> None:
    light = [f"{PACKAGE}.{name}" for name in sorted(ROOT_MODULES)]
    light += [module for module, _, _ in modules() if part_of(module) in ("analysis", "files")]
    found = loaded(f"import {PACKAGE}, {', '.join(light)}")
    assert PACKAGE in found
    assert found.isdisjoint(HEAVY)


def test_the_package_itself_is_light() -> None:
    assert loaded(f"import {PACKAGE}").isdisjoint({*HEAVY, "numpy", "pandas", "scipy"})


def test_control_attach_needs_torch() -> None:
    assert "torch" in loaded(f"import {PACKAGE}.steering.attach")


def test_the_documented_table_is_the_tree() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    rows = [line.split("|")[2] for line in text.splitlines() if line.startswith("| ") and "`" in line.split("|")[2]]
    documented = [{name.strip(" `/") for name in row.split(",")} for row in rows[: len(ROWS)]]
    assert documented == [{*ROOT_MODULES, *ROWS[0]}, *(set(row) for row in ROWS[1:])]
