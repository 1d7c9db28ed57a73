"""The house style of docstrings, read off the syntax tree; `make check` runs pydoclint, then this file.

pydoclint sees to every parameter of every public function. Here: the fields of dataclasses, the options of the command
line, double backticks, relative imports, public names that stand once, and a first sentence that is one.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "easyedit_split"
ENTRY_POINTS = {"main", "command", "install"}
"""What every program, every file of ``cli/commands`` and every part of ``easyedit/host`` calls its one entry point."""

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef

PATHS = {str(path.relative_to(ROOT)): path for path in sorted(ROOT.rglob("*.py"))}
TREES = {name: ast.parse(p.read_text("utf-8")) for name, p in PATHS.items()}


def documented(tree: ast.Module) -> Iterator[tuple[int, Documented, str]]:
    """``(line, node, docstring)`` of everything that has one."""
    for node in ast.walk(tree):
        if isinstance(node, Documented) and (text := ast.get_docstring(node)):
            yield getattr(node, "lineno", 1), node, text


def single_backticks(tree: ast.Module) -> list[str]:
    """Docstrings that mark code by one backtick."""
    one = re.compile(r"(?<!`)`(?!`)")
    return [f"line {line}: single backticks" for line, _, text in documented(tree) if one.search(text)]


def first_sentences(tree: ast.Module) -> list[str]:
    """Docstrings whose first paragraph is no sentence: a capital, a symbol or code first, a stop last."""
    symbol = re.compile(r"\S*[_(\d^'=*]|d[yWb]\b|[a-zA-Z],? |log")
    wrong = []
    for line, _, text in documented(tree):
        first = text.split("\n\n")[0].split("\n    ")[0].strip()
        if not first.endswith((".", ":", "?")) or (first[0].islower() and not symbol.match(first)):
            wrong.append(f"line {line}: {first[:60]!r}")
    return wrong


def is_dataclass(node: ast.ClassDef) -> bool:
    return any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)


def undocumented_fields(tree: ast.Module) -> list[str]:
    """Public fields of public dataclasses without a line of their own under ``Attributes``."""
    wrong = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef) or not is_dataclass(node) or node.name.startswith("_"):
            continue
        section = (ast.get_docstring(node) or "").partition("Attributes:\n")[2]
        named = re.findall(r"^    (\w+): ", section, re.MULTILINE)
        fields = [
            item.target.id
            for item in node.body
            if isinstance(item, ast.AnnAssign)
            and isinstance(item.target, ast.Name)
            and not item.target.id.startswith("_")
            and "ClassVar" not in ast.unparse(item.annotation)
        ]
        wrong += [f"{node.name}.{name} is not documented" for name in fields if name not in named]
    return wrong


def absolute_imports(tree: ast.Module) -> list[str]:
    """Imports of the package by its own name."""
    names = [
        (node.lineno, name)
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom) and not node.level
            else []
        )
    ]
    return [f"line {line}: imports {name}" for line, name in names if name.split(".")[0] == "easyedit_split"]


def options_without_help(tree: ast.Module) -> list[str]:
    """Options of the command line that say nothing of themselves; a command's parameters are documented there."""
    return [
        f"line {node.lineno}: an option without help"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("typer.Option", "typer.Argument")
        and not {"help", "callback"} & {keyword.arg for keyword in node.keywords}
    ]


CHECKS: dict[Callable[[ast.Module], list[str]], str] = {
    single_backticks: '"""See `x`."""',
    first_sentences: '"""no sentence"""',
    undocumented_fields: '@dataclass\nclass A:\n    """A.\n\n    Attributes:\n        x: it.\n    """\n    x: A; y: A',
    absolute_imports: "def f():\n    from easyedit_split.types import Pair",
    options_without_help: 'import typer\nx = typer.Option("--x")',
}
"""Each rule, and source that breaks it once."""


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_module_keeps_the_style(check: Callable[[ast.Module], list[str]]) -> None:
    assert [f"{name}: {wrong}" for name, tree in TREES.items() for wrong in check(tree)] == []


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_control_the_rule_finds_what_breaks_it(check: Callable[[ast.Module], list[str]]) -> None:
    assert len(check(ast.parse(CHECKS[check]))) == 1


def homes(trees: dict[str, ast.Module]) -> dict[str, list[str]]:
    """Modules that define each public class or function."""
    found: dict[str, list[str]] = defaultdict(list)
    for module, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                found[node.name].append(module)
    return found


def test_a_public_name_stands_once() -> None:
    twice = {name: where for name, where in homes(TREES).items() if len(where) > 1}
    twice = {name: where for name, where in twice.items() if name not in ENTRY_POINTS}
    assert twice == {}


def test_control_a_name_that_stands_twice_is_found() -> None:
    twice = ast.parse("def run(): ...")
    assert homes({"a.py": twice, "b.py": twice})["run"] == ["a.py", "b.py"]
