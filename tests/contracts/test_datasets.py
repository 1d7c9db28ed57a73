"""Every registered dataset keeps the contract, and every check of it catches one that does not."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from easyedit_split.datasets.base import DATASETS, Dataset, PairTable, Request
from easyedit_split.datasets.psychopathy import Psychopathy

from . import datasets
from .temporary import caught, registered


@pytest.mark.parametrize("name", DATASETS.names())
@pytest.mark.parametrize("check", datasets.CHECKS)
def test_dataset(name: str, check: Callable[[str, Path], None], tmp_path: Path) -> None:
    check(name, tmp_path)


# --- what the checks are good for ----------------------------------------------------------------------------------


class Wrong(Psychopathy):
    """One file split by seed, right in everything but what a subclass spoils."""

    name = "wrong"


def some(table: PairTable, chosen: list[int]) -> PairTable:
    return replace(
        table, pairs=tuple(table.pairs[k] for k in chosen), rows=tuple(table.rows[k] for k in chosen)
    )  # fmt: skip


class AtRandom(Wrong):
    def load(self, request: Request) -> PairTable:
        table = super().load(request)
        return some(table, sorted(random.sample(range(len(table.pairs)), 50)))


class OneSplitForAll(Wrong):
    def load(self, request: Request) -> PairTable:
        return super().load(replace(request, split="train"))


class Shuffled(Wrong):
    def load(self, request: Request) -> PairTable:
        table = super().load(request)
        return some(table, list(reversed(range(len(table.pairs)))))


class CountsFromOne(Wrong):
    def load(self, request: Request) -> PairTable:
        table = super().load(request)
        return replace(table, rows=tuple(row + 1 for row in table.rows))


class NoLimit(Wrong):
    def load(self, request: Request) -> PairTable:
        return super().load(replace(request, limit=None))


class DropsSilently(Wrong):
    def load(self, request: Request) -> PairTable:
        return super().load(replace(request, drop_bad=True))


class SaysNothing(Wrong):
    def load(self, request: Request) -> PairTable:
        return replace(super().load(request), dropped=())


class FromNowhere(Wrong):
    origin = " "


class Invents(Wrong):
    """Makes pairs where it has no file."""

    def load(self, request: Request) -> PairTable:
        if request.path is not None and not any(request.path.iterdir()):
            return PairTable("wrong", (), (), "nowhere", "0" * 64)
        return super().load(request)


class OtherColumns(Wrong):
    @classmethod
    def example_row(cls, number: int) -> dict[str, Any]:
        return {"text": str(number)}


class IgnoresTheSeed(Wrong):
    """Draws as many as the seed says."""

    def load(self, request: Request) -> PairTable:
        table = super().load(request)
        return some(table, list(range(len(table.pairs) - request.seed)))


CAUGHT = [
    (AtRandom, datasets.check_every_pair_is_found_again),
    (AtRandom, datasets.check_a_limit_is_a_part),
    (Shuffled, datasets.check_every_pair_is_found_again),
    (CountsFromOne, datasets.check_every_pair_is_found_again),
    (OneSplitForAll, datasets.check_splits_do_not_overlap),
    (NoLimit, datasets.check_a_limit_is_a_part),
    (DropsSilently, datasets.check_bad_rows_are_named),
    (SaysNothing, datasets.check_bad_rows_are_named),
    (FromNowhere, datasets.check_what_it_says_of_itself),
    (OtherColumns, datasets.check_what_it_says_of_itself),
    (Psychopathy, datasets.check_what_it_says_of_itself),  # under a name that is not its own
    (Invents, datasets.check_a_missing_file_is_described),
    (IgnoresTheSeed, datasets.check_a_split_is_asked_by_seed),
]


@pytest.mark.parametrize(("wrong", "check"), CAUGHT)
def test_control(wrong: type[Dataset], check: Callable[[str, Path], None], tmp_path: Path) -> None:
    with registered(DATASETS, "wrong", wrong) as name, caught():
        check(name, tmp_path)


@pytest.mark.parametrize("check", datasets.CHECKS)
def test_control_what_the_wrong_ones_are_made_from_is_right(check: Callable[[str, Path], None], tmp_path: Path) -> None:
    with registered(DATASETS, "wrong", Wrong) as name:
        check(name, tmp_path)
