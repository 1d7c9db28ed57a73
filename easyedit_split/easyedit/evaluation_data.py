"""Rows of EasyEdit2 datasets or files as answer pairs, for the evaluator of log-odds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ..registry import nearest
from ..types import ConfigError, DataError, Pair
from .train import FIELDS, pair_of

Split: TypeAlias = Literal["test", "train"]


def pairs_of(rows: Sequence[Pair | Mapping[str, Any]], name: str) -> list[Pair]:
    """Convert EasyEdit2's rows to pairs.

    Args:
        rows: pairs, or mappings ``{question, matching, not_matching}``.
        name: what they are called in error messages.

    Raises:
        DataError: a row without both answers; generated results are told by their ``pred``.
    """
    pairs: list[Pair] = []
    for number, row in enumerate(rows):
        if isinstance(row, Pair):
            pairs.append(row)
            continue
        if not isinstance(row, Mapping):
            raise DataError(f"{name}, row {number}: a {type(row).__name__}, wanted a mapping")
        lacking = [field for field in FIELDS.values() if field not in row]
        if lacking and "pred" in row:
            raise DataError(
                f"{name}: generated results hold no negative answers (row {number} lacks {', '.join(lacking)}), and "
                "log-odds need both answers of each pair: give the dataset's rows, not its results"
            )
        concept = row.get("concept")
        pairs.append(pair_of(row, number, name, None if concept is None else str(concept)))
    return pairs


def load_pairs(data: str, split: Split = "test") -> tuple[str, Sequence[Pair | Mapping[str, Any]]]:
    """Load the pairs of a file, or of one of EasyEdit2's datasets with its concepts joined.

    EasyEdit2 describes a dataset's test rows for generation, without their negative answers; they are read with the
    fields that its training rows have.

    Args:
        data: a file, which is used whole; a dataset of this package with its place (``psychopathy:PATH``,
            ``testbed:power``); or the name of one of EasyEdit2's.
        split: which rows of a dataset.

    Returns:
        ``(name, pairs or rows)``.

    Raises:
        ConfigError: EasyEdit2 has no such dataset, or no such rows of it.
        DataError: its test rows hold no pairs.
    """
    from ..datasets import load_dataset

    if Path(data).is_file():
        return Path(data).stem, load_dataset(data).pairs
    if ":" in data:
        return data.rpartition(":")[2].rpartition("/")[2].partition(".")[0], load_dataset(data, split=split).pairs
    from steer.datasets import DatasetLoader

    loader = DatasetLoader()
    described = loader.format_config
    if data not in described["train"]:
        raise ConfigError(
            f"log_odds.data: {data!r} is no file and no dataset of EasyEdit2{nearest(data, known(described))}"
        )
    if split == "test":
        described["train"][data]["file_path"] = _test_file(described, data)
    try:
        rows = loader.load_file(data, split="train")
    except FileNotFoundError as error:
        raise DataError(f"log_odds.data: {error}; name a file of pairs, or write split: train") from error
    grouped = rows and isinstance(rows[0], tuple)
    flat = [row for _, members in rows for row in members] if grouped else rows
    if split == "test" and flat and "not_matching" not in flat[0]:
        raise DataError(
            f"log_odds.data: the test rows of {data} ({described['train'][data]['file_path']}) hold no negative "
            "answers: name a file of pairs, or write split: train"
        )
    return data, flat


def known(described: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of EasyEdit2's training datasets.

    Args:
        described: its description of datasets.
    """
    return tuple(described["train"])


def _test_file(described: Mapping[str, Any], name: str) -> str:
    """The file of a training dataset's test rows: that of its name for generation (``x_train``'s is ``x_test``)."""
    names = (name, f"{name.removesuffix('_train')}_test")
    found = next((described["generation"][n] for n in names if n in described["generation"]), None)
    if not found or not found.get("file_path"):
        raise ConfigError(
            f"log_odds.data: EasyEdit2 knows no test rows of {name}: name a file of pairs, or write split: train"
        )
    return str(found["file_path"])
