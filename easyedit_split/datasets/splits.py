"""Reproducible splits by seed: rows are ordered by a hash, not by a random generator, so that they never change.

    rank(row) = SHA-256("seed/name/row")        train = the first k_train, test = the next k_test, dev = the next k_test

Dropping a row moves no other; train, test and dev never overlap under one seed. Pairs come back in the file's order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from ..types import DataError
from .base import SPLITS, Numbered, Split


@dataclass(frozen=True, slots=True)
class Sizes:
    """Numbers of pairs in each split (Appendix A); dev takes as many as test, of the rows that neither uses.

    Attributes:
        train: pairs of the train split.
        test: pairs of the test split, and of dev at most.
    """

    train: int
    test: int


def ranked(items: Sequence[Numbered], name: str, seed: int) -> list[Numbered]:
    """Shuffle rows by a seeded hash: their relative order does not depend on what else the file holds.

    Args:
        items: pairs with their rows.
        name: of the dataset, part of the seed.
        seed: the user's seed.
    """
    return sorted(items, key=lambda item: hashlib.sha256(f"{seed}/{name}/{item.row}".encode()).digest())


def take(
    items: Sequence[Numbered], split: Split, sizes: Sizes, *, name: str, seed: int, test_in_file: bool = True
) -> tuple[list[Numbered], tuple[str, ...]]:
    """The rows of one split, and a note where dev is smaller than test.

    Args:
        items: all pairs of the file.
        split: which to take.
        sizes: pairs of each split.
        name: of the dataset, for messages and the seed.
        seed: the user's seed.
        test_in_file: whether test is drawn from these rows too (power-seeking has a test file of its own).

    Raises:
        DataError: too few rows.
    """
    test = sizes.test if test_in_file else 0
    needed = sizes.train + test
    if len(items) < needed:
        raise DataError(
            f"{name}: {len(items)} usable rows, but {sizes.train} train and {test} test rows are needed: "
            "use the whole file as a plain path instead"
        )
    order = ranked(items, name, seed)
    dev = order[needed : needed + sizes.test]
    if split == "dev" and not dev:
        raise DataError(f"{name}: train and test use all {len(items)} rows, nothing is left for dev")
    chosen = {"train": order[: sizes.train], "test": order[sizes.train : needed], "dev": dev}[split]
    short = split == "dev" and len(dev) < sizes.test
    notes = (f"{name}: dev has {len(dev)} pairs, all that train and test leave ({sizes.test} wanted)",) if short else ()
    return in_file_order(chosen), notes


def limited(items: Sequence[Numbered], limit: int | None, *, name: str, seed: int) -> list[Numbered]:
    """At most ``limit`` of ``items``, of each concept, chosen by the seed.

    Args:
        items: pairs with their rows.
        limit: how many of each concept; all where None.
        name: of the dataset, part of the seed.
        seed: the user's seed.
    """
    kept: list[Numbered] = []
    for concept in dict.fromkeys(item.pair.concept for item in items):
        group = [item for item in items if item.pair.concept == concept]
        kept += group if limit is None else ranked(group, name, seed)[:limit]
    return in_file_order(kept)


def in_file_order(items: Sequence[Numbered]) -> list[Numbered]:
    """The items sorted by row number.

    Args:
        items: pairs with their rows.
    """
    return sorted(items, key=lambda item: item.row)


def check_split(split: str | None) -> Split | None:
    """Check the name of a split and return it.

    Args:
        split: what was asked for; None passes.

    Raises:
        DataError: an unknown split.
    """
    if split is None:
        return None
    for known in SPLITS:
        if split == known or (known == "dev" and split == "validation"):
            return known
    raise DataError(f"unknown split {split!r}; allowed: {', '.join(SPLITS)}")
