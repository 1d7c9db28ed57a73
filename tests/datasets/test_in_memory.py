"""Pairs that a program holds: every kind of table gives the same pairs, and says where each came from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from easyedit_split.datasets.base import PairTable, pairs_hash
from easyedit_split.datasets.in_memory import as_pairs
from easyedit_split.datasets.load import load_dataset
from easyedit_split.types import ConfigError, DataError, Pair

PAIRS = (Pair("How are you?", "Great!", "Awful."), Pair("And you?", "Fine.", "Bad."))
ROWS = [{"prompt": p.prompt, "positive": p.positive, "negative": p.negative} for p in PAIRS]


class Rows:
    """Anything that is gone through row by row, as a ``datasets.Dataset`` is."""

    def __iter__(self) -> Iterator[dict[str, str]]:
        return iter(ROWS)


@pytest.mark.parametrize(
    "value",
    [
        list(PAIRS),
        PAIRS,
        ROWS,
        [(p.prompt, p.positive, p.negative) for p in PAIRS],
        [[p.prompt, p.positive, p.negative] for p in PAIRS],
        pd.DataFrame(ROWS),
        Rows(),
        [{"question": p.prompt, "matching": p.positive, "not_matching": p.negative} for p in PAIRS],
        (pair for pair in PAIRS),
    ],
)
def test_every_kind_of_table_gives_the_same_pairs(value: Any) -> None:
    table = as_pairs(value)
    assert table.pairs == PAIRS
    assert (table.name, table.rows, table.split) == ("pairs", (0, 1), "")
    assert table.sha256 == table.pairs_sha256 == pairs_hash(PAIRS)


def test_a_table_is_given_back_and_a_name_or_file_is_read(tmp_path: Path) -> None:
    table = load_dataset("testbed:reviews", split="test", limit=4)
    assert as_pairs(table) is table
    assert as_pairs("testbed:reviews", split="test") == load_dataset("testbed:reviews", split="test")
    pd.DataFrame(ROWS).to_csv(tmp_path / "mine.csv", index=False)
    assert as_pairs(tmp_path / "mine.csv").pairs == PAIRS
    assert as_pairs(str(tmp_path / "mine.csv")).source == str(tmp_path / "mine.csv")


def test_a_table_is_a_sequence_that_keeps_its_rows() -> None:
    table = load_dataset("testbed:reviews", split="test", limit=6)
    some = table[2:4]
    assert isinstance(some, PairTable)
    assert (list(some), some.rows) == (list(table)[2:4], table.rows[2:4])
    assert (len(table), table[0], table[-1]) == (6, table.pairs[0], table.pairs[5])


def test_concepts_come_along_and_columns_can_be_named() -> None:
    rows = [{"q": "One?", "good": "a", "bad": "b", "what": "joy"}]
    columns = {"prompt": "q", "positive": "good", "negative": "bad", "concept": "what"}
    assert as_pairs(rows, columns=columns).pairs == (Pair("One?", "a", "b", "joy"),)
    assert as_pairs([("One?", "a", "b", "joy")]).pairs == (Pair("One?", "a", "b", "joy"),)
    with pytest.raises(ConfigError, match="unknown key 'promt'"):
        as_pairs(rows, columns={"promt": "q"})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "holds no rows"),
        (ROWS[0], "mapping, wanted a list"),
        ([*ROWS, "three"], "row 2: is a str"),
        ([*PAIRS, ROWS[0]], "row 0: is a Pair"),
        ([("a", "b")], "row 0: is a tuple"),
        ([{"prompt": "a", "text": "b"}], "its columns are prompt, text; wanted prompt, positive, negative"),
        ([*ROWS, {**ROWS[0], "positive": None}], "row 2: field 'positive' is missing"),
        ([{**ROWS[0], "negative": 3}], "row 0: field 'negative' is a int"),
        (pd.DataFrame({**{k: [v] for k, v in ROWS[0].items()}, "positive": [float("nan")]}), "row 0: .* is missing"),
    ],
)
def test_what_holds_no_pairs_is_named(value: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_pairs(value)


def test_bad_rows_are_dropped_on_demand_and_named() -> None:
    table = as_pairs([*ROWS, {**ROWS[0], "positive": ""}], drop_bad=True)
    assert table.pairs == PAIRS
    assert table.dropped == ("pairs, row 2: field 'positive' is empty",)
    assert table.notes == ()
