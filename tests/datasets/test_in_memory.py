"""Pairs that a program holds: every kind of table gives the same pairs, and says where each came from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import easyedit_split as es
from easyedit_split.datasets.base import PairTable, pairs_hash
from easyedit_split.datasets.in_memory import as_pairs
from easyedit_split.datasets.load import load_dataset
from easyedit_split.text.conversation import Conversation
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


# --- messages --------------------------------------------------------------------------------------------------------

TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Do you like rain?"},
]
YES, NO = ([{"role": "assistant", "content": text}] for text in ("Yes.", "No."))


@pytest.mark.parametrize(
    "row",
    [
        Pair(TURNS, "Yes.", "No."),
        Pair(TURNS, YES, NO),
        (TURNS, "Yes.", "No."),
        (TURNS, YES, NO),
        {"prompt": TURNS, "chosen": "Yes.", "rejected": "No."},
        {"prompt": TURNS, "chosen": YES, "rejected": NO},
        {"messages": TURNS, "chosen": YES[0], "rejected": NO[0]},
        {"chosen": [*TURNS, *YES], "rejected": [*TURNS, *NO]},
    ],
)
def test_a_list_of_messages_is_a_prompt_in_every_kind_of_row(row: Any) -> None:
    (pair,) = as_pairs([row]).pairs
    assert isinstance(pair.prompt, Conversation)
    assert [dict(message) for message in pair.prompt.messages] == TURNS
    assert (pair.positive, pair.negative) == ("Yes.", "No.")


def test_pairs_of_texts_and_of_messages_may_be_mixed_and_keep_their_concepts() -> None:
    rows = [Pair("Hi.", "Yes.", "No.", "rain"), Pair(TURNS, YES, "No.", "sun")]
    found = as_pairs(rows).pairs
    assert [(str(p.prompt)[:7], p.positive, p.negative, p.concept) for p in found] == [
        ("Hi.", "Yes.", "No.", "rain"),
        ("system:", "Yes.", "No.", "sun"),
    ]


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (Pair([], "Yes.", "No."), "row 0: field 'prompt' is a list, wanted text"),
        (Pair([*TURNS, *YES], "Yes.", "No."), "row 0: field 'prompt' ends with a message of the assistant"),
        (Pair(["Hi."], "Yes.", "No."), "row 0: field 'prompt' is a list, wanted text"),
        (Pair(TURNS, YES, YES), "hold the same answer"),
        (Pair(TURNS, 3, "No."), "row 0: field 'positive' is a int, wanted text"),
    ],
)
def test_a_pair_that_is_neither_text_nor_messages_is_named(pair: Pair, message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_pairs([pair])


def test_train_and_sweep_take_pairs_of_messages() -> None:
    model, tokenizer = es.load_model("testbed:qwen2")
    asked = [{"role": "user", "content": "what do you think of the soup ?"}]
    rows = [Pair(asked, "good", "bad"), Pair(asked, "fine", "poor")]
    texts = [Pair(asked[0]["content"], p.positive, p.negative) for p in rows]
    steering = es.train(model, tokenizer, rows, objective="diff_mean", layers=[1])
    table = es.sweep(model, tokenizer, rows, steering, [0.0, 1.0])
    plain = es.sweep(
        model, tokenizer, texts, es.train(model, tokenizer, texts, objective="diff_mean", layers=[1]), [0.0, 1.0]
    )
    assert table["pref"].tolist() == plain["pref"].tolist()
