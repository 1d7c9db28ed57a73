"""One idea a file, one step a function: no Python file of the repository is over 300 lines, no function over 60."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("easyedit_split", "examples", "benchmarks", "tests")
FILE_LINES, FUNCTION_LINES = 300, 60
FILES = tuple(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")))


def too_long(source: str) -> Iterator[str]:
    """One sentence for each limit that a file's text exceeds; a function counts from its ``def`` to its last line."""
    lines = len(source.splitlines())
    if lines > FILE_LINES:
        yield f"{lines} lines, at most {FILE_LINES}: split it by subject"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            lines = node.end_lineno - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield f"{node.name} has {lines} lines, at most {FUNCTION_LINES}: take a step out of it"


def test_no_file_and_no_function_is_too_long() -> None:
    found = [f"{path.relative_to(ROOT)}: {said}" for path in FILES for said in too_long(path.read_text("utf-8"))]
    assert found == []
    assert len(FILES) > 100


@pytest.mark.parametrize(
    ("source", "sentences"),
    [
        ("x = 1\n" * 300, 0),
        ("x = 1\n" * 301, 1),
        ("def f():\n" + "    x = 1\n" * 59, 0),
        ("def f():\n" + "    x = 1\n" * 60, 1),
        ("class C:\n    @property\n    async def f(self):\n" + "        x = 1\n" * 60, 1),
        ("def f():\n" + "    x = 1\n" * 300, 2),
    ],
)
def test_control_what_is_one_line_over_is_found(source: str, sentences: int) -> None:
    assert len(list(too_long(source))) == sentences
