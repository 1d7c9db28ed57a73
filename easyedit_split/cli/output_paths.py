"""Check output paths before any work: free or replaceable, in a folder that can be created and written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..types import ConfigError


def check_file(path: Path, overwrite: bool) -> None:
    """Raise unless a result file can be written to ``path``.

    Args:
        path: the file to be written.
        overwrite: whether ``--overwrite`` was given.

    Raises:
        ConfigError: ``path`` exists and ``--overwrite`` was not given, is a folder, or stands where none can be made.
    """
    with _looking_at(path):
        if path.is_dir():
            raise ConfigError(f"{path} is a folder: name a file for --out")
        _refuse_existing(path, overwrite)
        _check_parent(path)


def check_folder(path: Path, overwrite: bool) -> None:
    """Raise unless an artifact can be saved to ``path``.

    Args:
        path: the folder to be written.
        overwrite: whether ``--overwrite`` was given.

    Raises:
        ConfigError: ``path`` exists and ``--overwrite`` was not given, is something else than an artifact or an empty
            folder, or stands where none can be made.
    """
    from ..steering.artifact_files import replaceable

    with _looking_at(path):
        _refuse_existing(path, overwrite)
        if not path.name:
            raise ConfigError(f"{path} cannot be replaced from within: name a folder for --out")
        if path.exists() and not path.is_dir():
            raise ConfigError(f"{path} is a file: name a folder for --out")
        if path.exists() and not replaceable(path):
            raise ConfigError(f"{path} holds something that is not an artifact: choose another --out")
        _check_parent(path)


@contextmanager
def _looking_at(path: Path) -> Iterator[None]:
    """Turn an OSError about a path, such as a too long name or missing permission, into a ConfigError."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{path} cannot be used ({error.strerror or error}): choose another --out") from error


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
