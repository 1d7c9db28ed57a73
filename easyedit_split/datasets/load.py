"""Loading answer pairs by a dataset's name or a file's path:

| written                | read as                                                                              |
|------------------------|--------------------------------------------------------------------------------------|
| ``psychopathy``          | the dataset of that name, its file looked up in EASYEDIT_SPLIT_DATA or ./data        |
| ``psychopathy:PATH``     | the same, its file (or the folder that holds it) named                               |
| ``testbed:power``        | the testbed's pairs                                                                  |
| ``pairs.csv``            | a file of one's own, its columns recognised or named                                 |
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..config import build
from ..registry import nearest
from ..types import DataError
from .base import DATASETS, Columns, PairTable, Request, Split
from .local import Local, declares
from .splits import check_split
from .testbed import PREFIX, load_testbed


def load_dataset(
    name_or_path: str,
    *,
    split: str | None = None,
    seed: int = 0,
    columns: Mapping[str, str] | None = None,
    concept_id: int | None = None,
    drop_bad: bool = False,
    limit: int | None = None,
) -> PairTable:
    """Load the answer pairs of a dataset or file.

    Args:
        name_or_path: see the module's table.
        split: train, test or dev. Where None: train for datasets with splits, the whole of a file of one's own.
        seed: of the split; one seed gives the same split for ever.
        columns: names of the prompt, positive and negative (and concept) columns of a file of one's own.
        concept_id: one concept of a dataset with several; all of them (AxBench: the first ten) by default.
        drop_bad: leave out rows with a missing, empty or doubled field and name them in the notes, instead of raising.
        limit: at most so many pairs (of each concept), chosen by the seed.

    Raises:
        DataError: no such dataset or file, unknown or missing columns, a bad row (file, row and field named), a split
            that cannot be made.
        ConfigError: an unknown key of ``columns``, a seed or limit out of range.
    """
    path, name = _parse(name_or_path)
    request = Request(
        path=path,
        split=check_split(split),
        seed=seed,
        columns=None if columns is None else build(Columns, columns, "columns"),
        concept_id=concept_id,
        drop_bad=drop_bad,
        limit=limit,
    )
    if name.startswith(PREFIX):
        return load_testbed(name.removeprefix(PREFIX), request)
    return DATASETS[name]().load(request)


def default_split_of(name_or_path: str, default: Split) -> Split | None:
    """The split to use where none is named: ``default`` for datasets with splits and files that declare it, else None.

    Args:
        name_or_path: a registered dataset, a testbed dataset or a file.
        default: what the caller would take of a dataset that has splits.

    Raises:
        DataError: no such dataset or file.
    """
    path, name = _parse(name_or_path)
    if name != Local.name or path is None:
        return default
    return default if declares(path, default) else None


def _parse(text: str) -> tuple[Path | None, str]:
    """Parse a dataset argument: the path, if any, and the registered name of the dataset that reads it."""
    if text.startswith(PREFIX):
        return None, text
    if text in DATASETS and text != Local.name:
        return None, text
    name, colon, rest = text.partition(":")
    if colon and rest and name in DATASETS:
        return Path(rest), name
    path = Path(text)
    if path.is_file() or path.is_dir() or path.suffix or path.parent != Path("."):
        return path, Local.name
    known = (*(n for n in DATASETS.names() if n != Local.name), PREFIX + "NAME")
    raise DataError(f"no dataset and no file is called {text!r}{nearest(text, known)}, or the path of a file")
