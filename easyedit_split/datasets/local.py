"""Datasets from any file of the user's own: jsonl, json, csv or parquet, with columns named or recognised.

| columns                                                                        | whose                     |
|--------------------------------------------------------------------------------|---------------------------|
| ``prompt, positive, negative`` (and ``concept``)                                   | this package's            |
| ``question, matching, not_matching``                                             | EasyEdit2's               |
| ``question, answer_matching_behavior, answer_not_matching_behavior``             | Anthropic's persona evals |
| ``input, winning_output, losing_output, output_concept``                         | AxBench's paired table    |

Without a split the whole file is taken. A split needs a ``split`` column, or files named ``*_train``, ``*_test``,
``*_dev``; none is invented. ``declares`` says whether a file has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from ..registry import nearest
from ..types import DataError
from .axbench import AxBench, refuse_unpaired
from .base import DATASETS, SPLITS, Columns, Dataset, PairTable, Request, Split
from .files import Table, read_table
from .named import need_columns, refuse
from .pairing import read_pairs
from .powerseeking import PowerSeeking
from .psychopathy import Psychopathy
from .splits import limited

_KNOWN = (Columns(), PowerSeeking.columns, Psychopathy.columns, AxBench.columns)


@DATASETS.register("local")
class Local(Dataset):
    """A dataset in one file of the user's own."""

    name = "local"
    origin = "your own file"
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
        path = _split_file(request.path, request.split)
        table = read_table(path)
        columns = request.columns or recognise(table)
        need_columns(table, columns.fields(), "a pair")
        only = _split_rows(table, request.split)
        if only is None and request.split is not None and _declared(path) != request.split:
            raise DataError(
                f"{path}: has no split {request.split!r}: leave split out to take the whole file, add a 'split' column "
                f"or name the files *_train and *_test{_paper_split(columns, path)}"
            )
        items, dropped = read_pairs(table, columns, drop_bad=request.drop_bad, only=only)
        chosen = limited(items, request.limit, name=path.stem, seed=request.seed)
        split = request.split or _declared(path)
        return PairTable.of(path.stem, chosen, table, split=split, dropped=dropped)


def recognise(table: Table) -> Columns:
    """Recognise the column layout of a table, among those that are known.

    Args:
        table: rows under named columns.

    Raises:
        DataError: none of them.
    """
    refuse_unpaired(table)
    for columns in _KNOWN:
        if columns.fit(table.columns):
            return columns
    wanted = " or ".join(", ".join(columns.fields()) for columns in _KNOWN)
    raise DataError(
        f"{table.path}: its columns are {', '.join(table.columns)}; wanted {wanted}, or name yours "
        "(prompt=..., positive=..., negative=...)"
    )


def _declared(path: Path) -> str | None:
    """The split that the end of the file's name declares, e.g. ``_train``."""
    return next((split for split in SPLITS if path.stem.endswith(f"_{split}")), None)


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
    if "split" not in table.columns or split is None:
        return None
    values = [row.get("split") for row in table.rows]
    if split not in values:
        found = tuple(sorted({str(value) for value in values}))
        raise DataError(f"{table.path}: no row has split {split!r}{nearest(split, found)}")
    return [number for number, value in enumerate(values) if value == split]


def declares(path: Path, split: Split) -> bool:
    """Whether this file states, by its name or its ``split`` column, which of its rows belong to ``split``.

    Args:
        path: the file.
        split: the split looked for.

    Raises:
        DataError: it cannot be read.
    """
    if _declared(path) not in (None, split):
        return False
    table = read_table(path)
    if "split" not in table.columns:
        return _declared(path) == split
    return any(row.get("split") == split for row in table.rows)


def _paper_split(columns: Columns, path: Path) -> str:
    named = next((d.name for d in (Psychopathy, PowerSeeking, AxBench) if columns == d.columns), None)
    return f"; {named}:{path} makes the paper's splits" if named else ""
