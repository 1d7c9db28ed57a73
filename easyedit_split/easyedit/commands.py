"""EasyEdit2 parts of the command line: ``easyedit``, ``activate``, ``deactivate`` and a section of ``doctor``.

Functions without a terminal library: they return what is to be shown, and ``easyedit_split.cli`` shows it.
"""

from __future__ import annotations

import ast
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ..files.reading import cut, read_bounded
from ..types import ConfigError
from .host import clone as host
from .host import launcher, startup

Prefer = Literal["ours", "theirs"]


def easyedit(
    script: str, arguments: Sequence[str] = (), *, home: str | None = None, prefer: Prefer | None = None
) -> None:
    """Run an EasyEdit2 script with this package's methods registered; see ``launcher.run``.

    What the plugin repairs and accepts is logged to stderr, each once.

    Args:
        script: a script of the clone, e.g. ``vectors_generate.py``.
        arguments: what goes to the script.
        home: the clone's folder; EASYEDIT_HOME or the current folder where None.
        prefer: whose method a name means that both have; None where that is an error.
    """
    package = logging.getLogger("easyedit_split")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("easyedit-split: %(message)s"))
    package.handlers[:] = [handler]  # in place of the command line's own, which has no prefix
    package.setLevel(logging.INFO)
    package.propagate = False  # Hydra's root handler would say everything twice
    launcher.run(script, arguments, home=home, prefer=prefer)


def activate(prefer: Prefer | None = None) -> str:
    """Make plain ``python vectors_generate.py`` work in this environment; prints the path of the start-up file.

    Args:
        prefer: whose method a name means that both have; None where that is an error.
    """
    return f"activated: {startup.write_hook(prefer)}"


def deactivate() -> str:
    """Undo ``activate``; prints the path of the removed file."""
    return f"deactivated: {startup.path()} is removed" if startup.remove_hook() else "was not activated"


def doctor(home: str | None = None) -> list[tuple[str, str]]:
    """Status of EasyEdit2 and its plugin, as rows of (name, status).

    Args:
        home: the clone's folder; EASYEDIT_HOME or the current folder where None.
    """
    rows = [("start-up hook", f"active: {startup.path()}" if startup.is_active() else "not active (`activate`)")]
    try:
        clone = host.find_clone(home)
    except ConfigError as error:
        return [("EasyEdit2", str(error)), *rows]
    if clone is None:
        return [("EasyEdit2", "not found (current folder, --easyedit-home, EASYEDIT_HOME); not needed"), *rows]
    return [("EasyEdit2", clone.describe()), ("methods", _methods(clone)), *rows]


def _methods(clone: host.Host) -> str:
    """What the clone's table of methods lists; its source is read, and nothing of the clone is executed."""
    try:
        tree = ast.parse(read_bounded(clone.path / host.MARK, ConfigError))
    except (ConfigError, FileNotFoundError, RecursionError, SyntaxError, ValueError) as error:
        return f"no: {host.MARK} cannot be read ({cut(str(error), 80)})"
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Dict):
            continue
        if any(getattr(target, "id", "") == "METHODS_CLASS_DICT" for target in node.targets):
            return f"{len(node.value.keys)} methods of its own (read, not run: --contract runs it)"
    return f"no: {host.MARK} has no METHODS_CLASS_DICT"


def contract(home: str | None = None) -> int:
    """Run the contract tests against a clone and return pytest's exit code.

    Args:
        home: the clone's folder; EASYEDIT_HOME or the current folder where None.

    Raises:
        ConfigError: no clone, or no tests: they stand in the source checkout, not in the installed package.
    """
    clone = host.require_clone(home)
    tests = Path(__file__).parents[2] / "tests" / "easyedit"
    if not tests.is_dir():
        raise ConfigError("the contract tests come with the source checkout: install it with pip install -e")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)]
    done = subprocess.run(
        command, cwd=tests.parents[1], env={**os.environ, "EASYEDIT_HOME": str(clone.path)}, check=False
    )
    return done.returncode
