"""Datasets from any file or folder of the user's own, with columns named or recognised (see ``recognised``).

Without a split the whole file is taken. A split needs a ``split`` column, or files named for it (``*_train.csv``, or as
on the hub ``data/train-00000-of-00002.parquet``); none is invented. ``declares`` says whether a file has one. A
validation split is ``dev``, however it is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from ..registry import nearest
from ..types import DataError
from .axbench import AxBench
from .base import DATASETS, Columns, Dataset, PairTable, Request, Split
from .files import Table, read_table, read_tables
from .folders import SPLIT_NAMES, files_of, has_splits, stem_of
from .named import need_columns, refuse
from .pairing import read_pairs
from .powerseeking import PowerSeeking
from .psychopathy import Psychopathy
from .recognised import recognise
from .splits import limited


@DATASETS.register("local")
class Local(Dataset):
    """A dataset in one file of the user's own."""

    name = "local"
    origin = "your own file"
    scores = ("accuracy", "power", "concept", "overall")
    files: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType({})
    columns = Columns()

    def load(self, request: Request) -> PairTable:
        """Load the file's pairs, or those of the split that it declares.

        Args:
            request: what is asked of the file.
        """
        if request.path is None:
            raise DataError("local needs a file: write its path, or local:PATH")
        refuse(Local, {"concept_id": request.concept_id})
        path, table = _table(request.path, request.split)
        columns = request.columns or recognise(table)
        need_columns(table, tuple(name for name in columns.fields() if name), "a pair")
        only = _split_rows(table, request.split)
        if only is None and request.split is not None and _declared(path) != request.split and not path.is_dir():
            raise DataError(
                f"{path}: has no split {request.split!r}: leave split out to take the whole file, add a 'split' column "
                f"or name the files *_train and *_test{_paper_split(columns, path)}"
            )
        items, dropped = read_pairs(table, columns, drop_bad=request.drop_bad, only=only)
        chosen = limited(items, request.limit, name=path.stem, seed=request.seed)
        split = request.split or _declared(path)
        return PairTable.of(path.stem, chosen, table, split=split, dropped=dropped)


def _table(path: Path, split: Split | None) -> tuple[Path, Table]:
    """The file that holds a split, or the folder with its shards, and its rows."""
    if not path.is_dir():
        file = _split_file(path, split)
        return file, read_table(file)
    return path, read_tables(path, files_of(path, split))


def _declared(path: Path) -> str | None:
    """The split that the end of the file's name declares, e.g. ``_train``."""
    stem = stem_of(path)
    return next((split for name, split in SPLIT_NAMES.items() if stem.endswith(f"_{name}")), None)


def _split_file(path: Path, split: Split | None) -> Path:
    """The file given, or the one beside it that is named for ``split``."""
    declared = _declared(path)
    if split is None or declared is None or declared == split:
        return path
    twin = path.with_name(path.stem.removesuffix(declared) + split + path.suffix)
    if not twin.is_file():
        raise DataError(f"{path}: is the {declared} split by its name, and there is no {twin.name} beside it")
    return twin


def _split_rows(table: Table, split: Split | None) -> list[int] | None:
    """Numbers of the rows whose ``split`` column names the split; None without such a column or without a split."""
    if split_column(table) is None or split is None:
        return None
    values = _splits(table)
    if split not in values:
        found = tuple(sorted(set(values)))
        raise DataError(f"{table.path}: no row has split {split!r}{nearest(split, found)}")
    return [number for number, value in enumerate(values) if value == split]


def split_column(table: Table) -> str | None:
    """Name of the column that says each row's split, however it is capitalised; None without one.

    Args:
        table: the file's rows.
    """
    return next((str(name) for name in table.columns if str(name).strip().casefold() == "split"), None)


def _splits(table: Table) -> list[str]:
    """The split of each row, by its column ``split``, in this package's names."""
    found: list[str] = []
    name = split_column(table) or "split"
    for number, row in enumerate(table.rows):
        value = str(row.get(name)).strip().casefold()
        if value not in SPLIT_NAMES:
            raise DataError(
                f"{table.path}, row {number}: field {name!r} is {str(row.get(name))[:40]!r}, allowed: "
                f"{', '.join(SPLIT_NAMES)}; if it is no split, rename the column"
            )
        found.append(SPLIT_NAMES[value])
    return found


def declares(path: Path, split: Split) -> bool:
    """Whether this file states, by its name or its ``split`` column, which of its rows belong to ``split``.

    Args:
        path: the file.
        split: the split looked for.

    Raises:
        DataError: it cannot be read, or has a ``split`` column without this split.
    """
    if path.is_dir():
        return bool(files_of(path, split)) and has_splits(path)
    if _declared(path) not in (None, split):
        return False
    table = read_table(path)
    if split_column(table) is None:
        return _declared(path) == split
    found = _splits(table)
    if split not in found:
        raise DataError(
            f"{table.path}: its column 'split' has {', '.join(sorted(set(found)))} and no {split}: choose by --split"
        )
    return True


def _paper_split(columns: Columns, path: Path) -> str:
    named = next((d.name for d in (Psychopathy, PowerSeeking, AxBench) if columns == d.columns), None)
    return f"; {named}:{path} makes the paper's splits" if named else ""
