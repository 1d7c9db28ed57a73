"""What every dataset keeps: the same pairs for ever, splits that do not overlap, every bad row named.

Files are made of the dataset's own ``example_row``. What it ships itself is taken as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from easyedit_split.datasets.base import DATASETS, SPLITS, Columns, PairTable, Request, Split
from easyedit_split.types import DataError

from ..datasets.tables import write

ROWS = 800
Change = Callable[[list[dict[str, Any]]], object]


def made(name: str, folder: Path, change: Change = len) -> Request:
    """How a dataset is asked for its files, which are written into ``folder``; one that ships its own takes no path."""
    dataset = DATASETS[name]
    rows = [dataset.example_row(number) for number in range(ROWS)]
    change(rows)
    for names in dataset.files.values():
        write(folder / names[0], rows)
    request = Request(path=folder if dataset.files else write(folder / "own.jsonl", rows))
    try:
        load(name, request)
    except DataError as error:
        if "takes no path" in str(error):
            return Request()
    return request


def load(name: str, request: Request, **settings: Any) -> PairTable:
    """What a dataset gives, asked anew."""
    fields = {field: getattr(request, field) for field in Request.__dataclass_fields__}
    return DATASETS[name]().load(Request(**{**fields, **settings}))


def splits_of(name: str, request: Request) -> dict[Split, PairTable]:
    """Every split that there is; a split that there is not is an error that says so."""
    found = {}
    for split in SPLITS:
        try:
            found[split] = load(name, request, split=split)
        except DataError as error:
            if split not in str(error):
                raise
    return found


def places(table: PairTable) -> set[tuple[str, int]]:
    """File and row of each pair."""
    return {(table.source, row) for row in table.rows}


# --- checks --------------------------------------------------------------------------------------------------------


def check_what_it_says_of_itself(name: str, folder: Path) -> None:
    """Its own name, where it is from, and rows with its columns."""
    dataset = DATASETS[name]
    assert dataset.name == name
    assert dataset.origin.strip()
    assert isinstance(dataset.columns, Columns)
    assert set(dataset.columns.fields()) <= set(dataset.example_row(0))
    assert dataset.example_row(0) != dataset.example_row(1)
    table = load(name, made(name, folder))
    assert table.pairs
    assert len(table.sha256) == 64


def check_every_pair_is_found_again(name: str, folder: Path) -> None:
    """One row number a pair, in the file's order within a concept; and the same ones when it is asked again."""
    request = made(name, folder)
    table = load(name, request)
    assert len(table.rows) == len(table.pairs)
    assert len(places(table)) == len(table.rows)
    for concept in table.concepts():
        rows = [row for row, pair in zip(table.rows, table.pairs, strict=True) if pair.concept == concept]
        assert rows == sorted(rows)
    assert load(name, request) == table
    if _is_made_of(table, folder):
        prompt, positive, negative = DATASETS[name].columns.fields()
        for row, pair in list(zip(table.rows, table.pairs, strict=True))[::97]:
            wanted = DATASETS[name].example_row(row)
            assert (pair.prompt, pair.positive, pair.negative) == (wanted[prompt], wanted[positive], wanted[negative])


def check_splits_do_not_overlap(name: str, folder: Path) -> None:
    """Under one seed no row is in two; what no split is asked for is one of them or the whole file."""
    request = made(name, folder)
    splits = splits_of(name, request)
    together = [place for table in splits.values() for place in places(table)]
    assert len(together) == len(set(together))
    whole = load(name, request)
    assert any(whole == table for table in splits.values()) or len(whole.pairs) == ROWS


def check_a_limit_is_a_part(name: str, folder: Path) -> None:
    """At most so many of each concept, of the pairs that there would be, the same for one seed."""
    request = made(name, folder)
    whole, part = load(name, request), load(name, request, limit=3)
    assert places(part) < places(whole)
    assert len(part.pairs) == 3 * len(whole.concepts())
    assert load(name, request, limit=3) == part


def check_bad_rows_are_named(name: str, folder: Path) -> None:
    """All of them with row and field; left out only on demand, and then they are named too, and no other is lost."""
    if not _is_made_of(load(name, made(name, folder / "good")), folder):
        return
    _, positive, negative = DATASETS[name].columns.fields()

    def spoil(rows: list[dict[str, Any]]) -> None:
        rows[5][positive] = "  "
        rows[7][negative] = rows[7][positive]

    request = made(name, folder / "bad", spoil)
    with pytest.raises(DataError) as caught:
        load(name, request)
    for words in ("row 5", positive, "row 7", negative):
        assert words in str(caught.value)
    table = load(name, request, drop_bad=True)
    assert not {5, 7} & set(table.rows)
    assert sorted(sentence.split("row ")[1][0] for sentence in table.dropped) == ["5", "7"]
    good = load(name, made(name, folder / "good"))
    assert len(set(good.rows) - set(table.rows)) <= 2, "a row that is left out moves no other"


def check_a_missing_file_is_described(name: str, folder: Path) -> None:
    """What is wanted, and where it is from."""
    dataset = DATASETS[name]
    (folder / "empty").mkdir(parents=True)
    request = made(name, folder / "there")
    if request.path is None:
        assert Path(load(name, request).source).is_file(), "it ships its own"
        return
    absent = folder / "empty" if dataset.files else folder / "absent.csv"
    with pytest.raises(DataError) as caught:
        load(name, Request(path=absent))
    names = [found[0] for found in dataset.files.values()] or [absent.name]
    assert any(file in str(caught.value) for file in names)
    assert not dataset.files or dataset.origin in str(caught.value)


def check_a_split_is_asked_by_seed(name: str, folder: Path) -> None:
    """Where splits are drawn, another seed draws others; where the file says them, the seed changes nothing."""
    request = made(name, folder)
    first, second = load(name, request), load(name, request, seed=1)
    assert (first == second) or (places(first) != places(second) and len(first.pairs) == len(second.pairs))


def _is_made_of(table: PairTable, folder: Path) -> bool:
    return Path(table.source).is_relative_to(folder)


CHECKS = (
    check_what_it_says_of_itself,
    check_every_pair_is_found_again,
    check_splits_do_not_overlap,
    check_a_limit_is_a_part,
    check_bad_rows_are_named,
    check_a_missing_file_is_described,
    check_a_split_is_asked_by_seed,
)
