"""Locating the file of a named dataset: the path given, else the folder in EASYEDIT_SPLIT_DATA, else ./data."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ..registry import nearest
from ..types import DataError
from .base import Dataset
from .files import Table, read_table

DATA_VARIABLE = "EASYEDIT_SPLIT_DATA"


def locate(dataset: type[Dataset], role: str, path: Path | None) -> Path:
    """Locate a file of ``dataset`` by its role (a key of ``dataset.files``).

    Args:
        dataset: one of the paper's datasets.
        role: a key of ``dataset.files``, e.g. ``test``.
        path: the file itself, or a folder; the data folder where None.

    Raises:
        DataError: not found; says which file is wanted, where it is published and under which licence.
    """
    if path is not None and path.is_file():
        return path
    folder = path if path is not None else Path(os.environ.get(DATA_VARIABLE, "data"))
    names = dataset.files[role]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    there = "" if folder.is_dir() else " (no such folder)"
    raise DataError(
        f"{dataset.name}: no {' or '.join(names)} in {folder}{there}: get it from {dataset.origin}, then put it there, "
        f"set {DATA_VARIABLE} to its folder, or write {dataset.name}:PATH"
    )


def read_named(dataset: type[Dataset], path: Path) -> Table:
    """Read the table at ``path``, checked for the dataset's columns.

    Args:
        dataset: one of the paper's datasets.
        path: its file.

    Raises:
        DataError: unreadable, or a column is missing.
    """
    table = read_table(path)
    need_columns(table, dataset.columns.fields(), dataset.name)
    return table


def need_columns(table: Table, names: tuple[str, ...], what: str) -> None:
    """Raise DataError naming the first of ``names`` that ``table`` lacks.

    Args:
        table: the file's rows.
        names: columns that it must have.
        what: what the columns make, for the message.

    Raises:
        DataError: one is missing.
    """
    for name in names:
        if name not in table.columns:
            raise DataError(f"{table.path}: {what} needs a column {name!r}{nearest(name, table.columns)}")


def refuse(dataset: type[Dataset], settings: Mapping[str, object]) -> None:
    """Raise DataError for a setting that does not apply to ``dataset``.

    Args:
        dataset: one of the paper's datasets.
        settings: name to value; one that is not None is refused.

    Raises:
        DataError: a setting is given.
    """
    for name, value in settings.items():
        if value is not None:
            raise DataError(f"{dataset.name} takes no {name} (got {value!r}): leave it out")
