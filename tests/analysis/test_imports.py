"""The submodule stands alone: no torch, no transformers, Matplotlib only to plot."""

from __future__ import annotations

import ast
import subprocess
import sys

from tests.analysis.planted import ROOT

FOLDER = ROOT / "easyedit_split" / "analysis"
ALLOWED = {"numpy", "scipy", "matplotlib", "pandas", "jaxtyping"}


def loaded(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_nothing_heavy_is_loaded() -> None:
    modules = loaded("import easyedit_split.analysis")
    assert not {"torch", "transformers", "matplotlib.pyplot", "matplotlib"} & modules
    assert "scipy" in modules
    assert "torch" in loaded("import torch")  # the test can see what it looks for


def test_only_the_allowed_packages_are_imported() -> None:
    for path in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            else:
                continue
            for name in names:
                top = name.split(".")[0]
                own = isinstance(node, ast.ImportFrom) and node.level > 0  # tests/test_layers.py says which
                assert own or top in ALLOWED or top in sys.stdlib_module_names, f"{path.name} imports {name}"
