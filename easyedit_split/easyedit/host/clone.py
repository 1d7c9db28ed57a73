"""Find a clone of EasyEdit2 and its commit.

EasyEdit2 has no setup file: people clone it and run its scripts from the clone's root. A clone is a folder that holds
``steer/utils/alg_dict.py``. It is looked for in this order: ``--easyedit-home``, the environment's ``EASYEDIT_HOME``,
the current folder and the folders above it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ...types import ConfigError

MARK = Path("steer") / "utils" / "alg_dict.py"

TESTED = {
    "14cea8245f06715684592ab55184939b99d70784": "main of 2026-07-14",
    "133d030b9a401cdb1c72bf654cfc5f479d534f93": "before the exports of main broke",
}
"""Commits that the contract tests pass on."""


@dataclass(frozen=True, slots=True)
class Host:
    """A clone of EasyEdit2.

    Attributes:
        path: its root.
        commit: full hash, or None where the folder is not a git checkout.
    """

    path: Path
    commit: str | None

    @property
    def is_tested(self) -> bool:
        """Whether the contract tests passed on this commit."""
        return self.commit in TESTED

    def describe(self) -> str:
        """One line on path and commit, for logs and ``doctor``."""
        if self.commit is None:
            return f"EasyEdit2 at {self.path} (not a git checkout, so its commit is unknown)"
        note = f"tested: {TESTED[self.commit]}" if self.is_tested else "not one of the tested commits"
        return f"EasyEdit2 at {self.path}, commit {self.commit[:7]} ({note})"


def is_clone(path: Path) -> bool:
    """Whether a folder is the root of an EasyEdit2 clone.

    Args:
        path: any folder.
    """
    return (path / MARK).is_file()


def find_clone(home: Path | str | None = None) -> Host | None:
    """Find an EasyEdit2 clone; None where there is none.

    Args:
        home: its folder; EASYEDIT_HOME or the current folder where None.

    Raises:
        ConfigError: ``home`` or ``EASYEDIT_HOME`` names a folder that is not a clone.
    """
    named = home or os.environ.get("EASYEDIT_HOME")
    if named:
        path = Path(named).expanduser().resolve()
        if not is_clone(path):
            source = "--easyedit-home" if home else "EASYEDIT_HOME"
            raise ConfigError(f"{source} is {path}, which is no clone of EasyEdit2: it holds no {MARK}")
        return Host(path, commit_of(path))
    here = Path.cwd()
    for path in (here, *here.parents):
        if is_clone(path):
            return Host(path, commit_of(path))
    return None


def require_clone(home: Path | str | None = None) -> Host:
    """Find an EasyEdit2 clone, or raise with instructions on how to name one.

    Args:
        home: its folder; EASYEDIT_HOME or the current folder where None.

    Raises:
        ConfigError: there is none.
    """
    host = find_clone(home)
    if host is None:
        raise ConfigError(
            "no clone of EasyEdit2 here: go into one, name it with --easyedit-home or EASYEDIT_HOME, "
            "or clone https://github.com/zjunlp/EasyEdit"
        )
    return host


def commit_of(path: Path) -> str | None:
    """The checked-out commit's full hash, read from the files of git (git itself need not be installed).

    Args:
        path: a clone's root.
    """
    git = path / ".git"
    if git.is_file():  # a worktree: the file names its own folder
        git = (path / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()).resolve()
    head = git / "HEAD"
    if not head.is_file():
        return None
    value = head.read_text(encoding="utf-8").strip()
    if not value.startswith("ref:"):
        return value
    name = value.removeprefix("ref:").strip()
    common = git / "commondir"
    shared = (git / common.read_text(encoding="utf-8").strip()).resolve() if common.is_file() else git
    for folder in (git, shared):
        if (folder / name).is_file():
            return (folder / name).read_text(encoding="utf-8").strip()
    packed = shared / "packed-refs"
    if packed.is_file():
        for line in packed.read_text(encoding="utf-8").splitlines():
            if line.endswith(f" {name}"):
                return line.split(" ", 1)[0]
    return None
