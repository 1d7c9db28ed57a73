"""Rows of EasyEdit2 datasets or files as answer pairs, for the evaluator of log-odds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..types import DataError, Pair
from .train import FIELDS, pair_of


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


def load_pairs(data: str) -> tuple[str, Sequence[Pair | Mapping[str, Any]]]:
    """Load the pairs of a file, or of one of EasyEdit2's training datasets with its concepts joined.

    Args:
        data: a file, or the name of a training dataset.

    Returns:
        ``(name, pairs or rows)``.
    """
    if Path(data).is_file():
        from ..datasets import load_dataset

        return Path(data).stem, load_dataset(data).pairs
    from steer.datasets import DatasetLoader

    rows = DatasetLoader().load_file(data, split="train")
    grouped = rows and isinstance(rows[0], tuple)
    return data, [row for _, members in rows for row in members] if grouped else rows
