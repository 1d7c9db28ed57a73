"""What the package imports, setup.cfg declares: nothing is left to what another package happens to bring."""

from __future__ import annotations

import ast
import configparser
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
DISTRIBUTIONS = {
    "yaml": "pyyaml",
    "sklearn": "scikit-learn",
    "huggingface_hub": "huggingface-hub",
    "vl_convert": "vl-convert-python",
}
"""Distributions that are not called as what they are imported by."""
HOST = {"steer"}
"""EasyEdit2 itself, which the bridge finds in the user's clone."""
OPTIONAL = {"scikit-learn", "gguf", "torchao", "openai", "ray", "vl-convert-python"}
"""Imported inside a function that says what to install where it is missing."""
BY_OTHERS: dict[str, str] = {}
"""Declared, and not imported by name."""


def declared(extras: bool = False) -> set[str]:
    """Distributions that every user gets; with ``extras``, also those that an extra brings."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = parser["options"]["install_requires"].split("\n")
    if extras:
        lines += [line for text in parser["options.extras_require"].values() for line in text.split("\n")]
    return {found.group().lower() for line in lines if (found := re.match(r"[\w-]+", line.strip()))}


def imported(source: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module).split(".")[0])
    others = found - set(sys.stdlib_module_names) - HOST - {"easyedit_split"}
    return {DISTRIBUTIONS.get(name, name) for name in others}


def test_imports_and_declarations_agree() -> None:
    used = {name for path in (ROOT / "easyedit_split").rglob("*.py") for name in imported(path.read_text("utf-8"))}
    assert used - declared() <= OPTIONAL
    assert declared(extras=True) >= OPTIONAL
    assert declared() - used <= set(BY_OTHERS)
    assert "accelerate" in declared()


def test_control_an_undeclared_import_is_seen() -> None:
    source = "import os, yaml\nfrom .x import y\ndef f():\n    from einops.layers import torch\n    import steer.utils"
    assert imported(source) == {"pyyaml", "einops"}
    assert "einops" not in declared()
