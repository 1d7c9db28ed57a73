"""Data folders as on the Hugging Face hub: files named for their split, in the folder or in its ``data``.

data/train-00000-of-00002.parquet    data/test.jsonl    validation.csv.gz        shards of one split are joined
"""

from __future__ import annotations

import re
from pathlib import Path

from ..types import DataError
from .base import Split
from .files import ending_of

SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "test": "test",
    "dev": "dev",
    "validation": "dev",
    "valid": "dev",
    "val": "dev",
}
"""Names of splits in files, and this package's."""
_SHARD = re.compile(r"(?P<name>[a-z]+)(?:[-_.]\d.*)?")


def stem_of(path: Path) -> str:
    """A file's name without its endings, ``.gz`` among them.

    Args:
        path: the file.
    """
    return path.with_suffix("").stem if path.suffix.lower() == ".gz" else path.stem


def has_splits(folder: Path) -> bool:
    """Whether a folder's files are named for splits.

    Args:
        folder: the folder.
    """
    return bool(_by_split(folder))


def files_of(folder: Path, split: Split | None) -> tuple[Path, ...]:
    """The files of a split, in order of their names; of a folder without splits its one file.

    Args:
        folder: the folder.
        split: the split; None where the folder has one alone.

    Raises:
        DataError: no such split, several where none is named, or no data file.
    """
    found = _by_split(folder)
    if not found:
        files = _data_files(folder)
        if len(files) == 1 and split is None:
            return files
        held = ", ".join(file.name for file in files[:6]) or "no data file"
        raise DataError(
            f"{folder}: holds {held}: name one file, or name files for their split (train.jsonl, test.jsonl)"
        )
    if split is None and len(found) > 1:
        raise DataError(f"{folder}: has the splits {', '.join(sorted(found))}: name one (--split)")
    chosen = split or next(iter(found))
    if chosen not in found:
        raise DataError(f"{folder}: has no split {chosen!r}, only {', '.join(sorted(found))}: name one (--split)")
    return tuple(found[chosen])


def _data_files(folder: Path) -> tuple[Path, ...]:
    for place in (folder, folder / "data"):
        if place.is_dir():
            files = tuple(sorted(file for file in place.iterdir() if file.is_file() and ending_of(file) is not None))
            if files:
                return files
    return ()


def _by_split(folder: Path) -> dict[Split, list[Path]]:
    found: dict[Split, list[Path]] = {}
    for file in _data_files(folder):
        match = _SHARD.fullmatch(stem_of(file).lower())
        split = SPLIT_NAMES.get(match["name"]) if match else None
        if split is not None:
            found.setdefault(split, []).append(file)
    return found
