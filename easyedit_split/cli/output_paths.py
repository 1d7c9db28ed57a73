"""Check output paths before any work: free or replaceable, in a folder that can be written, and nobody else's.

A path that passes is locked until the command ends (``locks``), so that of two writers the second is refused at its
start.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..files.locks import OutputLock
from ..storage import clear_leftovers, recover
from ..types import ConfigError
from .console import say


def check_file(path: Path, overwrite: bool, *, lock: bool = True) -> None:
    """Raise unless a result file can be written to ``path``, and lock it until the command ends.

    Args:
        path: the file to be written.
        overwrite: whether ``--overwrite`` was given.
        lock: whether to lock it; of several processes of one run, the first does.

    Raises:
        ConfigError: ``path`` exists and ``--overwrite`` was not given, is a folder, or stands where none can be made.
        StorageError: another run is writing it.
    """
    with _looking_at(path):
        if path.is_dir():
            raise ConfigError(f"{path} is a folder: name a file for --out")
        if path.exists() and not path.is_file():
            raise ConfigError(f"{path} is no ordinary file: name another one for --out")
        _refuse_existing(path, overwrite)
        _check_parent(path)
    if lock:
        hold(path)


def check_folder(path: Path, overwrite: bool) -> None:
    """Raise unless an artifact can be saved to ``path``, and lock it until the command ends.

    Args:
        path: the folder to be written.
        overwrite: whether ``--overwrite`` was given.

    Raises:
        ConfigError: ``path`` exists and ``--overwrite`` was not given, is something else than an artifact or an empty
            folder, or stands where none can be made.
        StorageError: another run is writing it.
    """
    from ..steering.artifact_files import replaceable

    with _looking_at(path):
        if not path.name:
            raise ConfigError(f"{path} cannot be replaced from within: name a folder for --out")
        if not path.exists() and recover(path):
            say(f"{path}: put back what a killed run had moved aside", "yellow")
        _refuse_existing(path, overwrite)
        if path.exists() and not path.is_dir():
            raise ConfigError(f"{path} is a file: name a folder for --out")
        if path.exists() and not replaceable(path):
            raise ConfigError(f"{path} holds something that is not an artifact: choose another --out")
        _check_parent(path)
    hold(path)


def hold(path: Path, option: str = "--out") -> None:
    """Lock an output until the command ends, and clear away what killed writers of it left unfinished.

    Args:
        path: the file or folder to be written.
        option: that names it.

    Raises:
        ConfigError: a ``~`` that no shell has read.
        StorageError: another run is writing it.
    """
    refuse_tilde(path, option)
    OutputLock(path)
    clear_leftovers(path)


@contextmanager
def _looking_at(path: Path) -> Iterator[None]:
    """Turn an OSError about a path, such as a too long name or missing permission, into a ConfigError."""
    try:
        yield
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path} cannot be used ({reason}): choose another --out") from error


def refuse_tilde(path: Path, option: str) -> None:
    """Raise for ``~/x`` that no shell has expanded, as in ``--out=~/x``: it would make a folder called ``~``.

    Args:
        path: where something is to be written.
        option: whose value it is.

    Raises:
        ConfigError: it is one.
    """
    first = path.parts[0] if path.parts else ""
    if first.startswith("~") and not Path(first).exists():
        raise ConfigError(
            f"{path}: the shell does not read ~ here: write {option} {path} with a space, or the whole path"
        )


def _refuse_existing(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise ConfigError(f"{path} exists already: choose another --out, or give --overwrite")


def _check_parent(path: Path) -> None:
    """Raise unless the nearest existing parent of ``path`` is a writable folder."""
    for parent in path.parents:
        if not parent.exists():
            continue
        if not parent.is_dir():
            raise ConfigError(f"{path}: {parent} is a file, not a folder: choose another --out")
        if not os.access(parent, os.W_OK | os.X_OK):
            raise ConfigError(f"{path}: there is no permission to write into {parent}: choose another --out")
        return
