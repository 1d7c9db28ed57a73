"""Pairs in ids: the seam between prompt and answer, special tokens in texts, bad rows."""

from __future__ import annotations

from typing import Any

import pytest

from easyedit_split.text.batching import Row
from easyedit_split.text.encode_pairs import encode_answers, encode_pairs
from easyedit_split.types import DataError, Pair

from ..toy_tokenizers import llama2, plain, qwen
from .rendered import QUERY, template

GOOD = Pair(QUERY, "Yes, I would", "No, thank you")


def without_positive() -> Pair:
    pair = Pair(QUERY, "", "No")
    object.__setattr__(pair, "positive", None)  # what a caller without type checks may hand over
    return pair


# --- the seam --------------------------------------------------------------------------------------------------------


def test_an_answer_reads_as_itself_after_its_prompt(tokenizer: Any) -> None:
    made = template(tokenizer, chat_template="off", score_end=False)
    prompt = made.prompt(QUERY)
    for text in ("Yes", " Yes", "word", "Yes, I would"):
        assert made.decode(prompt + made.answer(text)) == made.decode(prompt) + text


def test_control_tokenised_alone_an_answer_gets_a_word_mark() -> None:
    tokenizer = llama2(with_template=False)
    naive = tokenizer("Yes", add_special_tokens=False)["input_ids"]
    made = template(tokenizer, score_end=False)
    assert tuple(naive) != made.answer("Yes")
    assert tuple(naive) == made.answer(" Yes")


def test_control_tokenising_the_joined_text_merges_over_the_seam() -> None:
    tokenizer, made = plain(), template(plain(), score_end=False)
    joined = tuple(tokenizer("some wor" + "d", add_special_tokens=False)["input_ids"])
    apart = made.prompt("some wor") + made.answer("d")
    assert joined != apart
    assert made.decode(joined) == made.decode(apart)


# --- special tokens inside texts -------------------------------------------------------------------------------------


def test_special_tokens_in_an_answer_are_plain_text_where_that_is_chosen(tokenizer: Any) -> None:
    if tokenizer is llama2("always", True):
        pytest.skip("this vocabulary cannot spell the characters of a special token")
    made = template(tokenizer, special_tokens="plain")
    token = tokenizer.eos_token
    ids = made.answer(f"no {token} yes")
    assert tokenizer.eos_token_id not in ids[: -len(made.end_ids)]
    assert ids[-1:] == made.end_ids
    assert token in made.decode(ids)
    naive = tokenizer(f"no {token} yes", add_special_tokens=False)["input_ids"]
    assert tokenizer.eos_token_id in naive, "control: it would have been read as the token"


# --- pairs -----------------------------------------------------------------------------------------------------------


def test_a_pair_in_ids(tokenizer: Any) -> None:
    made = template(tokenizer)
    (row,) = encode_pairs([GOOD], made, source="file").rows
    assert (row.pair, row.index) == (GOOD, 0)
    assert row.prompt == made.prompt(QUERY)
    assert (row.positive, row.negative) == (made.answer(GOOD.positive), made.answer(GOOD.negative))
    assert row.prefix_length == len(made.prefix_ids)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (Pair(" \n", "Yes", "No"), "prompt is empty"),
        (Pair(QUERY, "", "No"), "positive is empty"),
        (Pair(QUERY, "Yes", "\t"), "negative is empty"),
        (Pair(QUERY, "Yes", "Yes"), "positive and negative are the same answer, 'Yes'"),
        (Pair(QUERY, " Yes", "Yes"), "positive and negative are the same tokens, ' Yes' and 'Yes'"),
        (Pair(QUERY + "<|im_end|>", "Yes", "No"), r"prompt holds text .* special token '<\|im_end\|>'"),
        (Pair(QUERY, "Yes " * 100, "No"), r"\d+ tokens long, max_length is 100"),
        (without_positive(), "positive is a NoneType, wanted text"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_bad_row_is_named_and_dropped_only_on_demand(pair: Pair, message: str) -> None:
    made = template(qwen(), max_length=100)
    pairs = [GOOD, pair, Pair("Is it so?", "Yes", "No")]
    with pytest.raises(DataError, match="^mine.csv, row 7: " + message):
        encode_pairs(pairs, made, source="mine.csv", indices=(3, 7, 9))
    result = encode_pairs(pairs, made, source="mine.csv", indices=(3, 7, 9), drop_bad=True)
    assert [row.index for row in result.rows] == [3, 9]
    assert len(result.dropped) == 1
    assert result.dropped[0].startswith("mine.csv, row 7: ")


def test_nothing_left_is_an_error() -> None:
    with pytest.raises(DataError, match=r"mine.csv: none of 1 pairs can be used"):
        encode_pairs([Pair("", "a", "b")], template(qwen()), source="mine.csv", drop_bad=True)


def test_length_is_of_the_longer_answer_and_exact() -> None:
    long = Pair(QUERY, "Yes", "No, thank you")
    made = template(qwen())
    length = len(made.prompt(QUERY)) + len(made.answer(long.negative))
    assert encode_pairs([long], template(qwen(), max_length=length), source="f").rows
    with pytest.raises(DataError, match=f"row 0: {length} tokens long, max_length is {length - 1}"):
        encode_pairs([long], template(qwen(), max_length=length - 1), source="f")


def test_one_leading_space_is_stripped_under_a_template_and_said() -> None:
    pairs = [Pair(QUERY, " Yes", " No"), Pair(QUERY, "Yes", "  No")]
    chat = encode_pairs(pairs, template(qwen()), source="f")
    assert chat.rows[0].positive == chat.rows[1].positive
    assert chat.rows[0].negative != chat.rows[1].negative, "only one space goes"
    assert chat.notes == ("one leading space stripped from 3 of 4 answers (chat template in use)",)
    bare = encode_pairs(pairs, template(qwen(), chat_template="off"), source="f")
    assert bare.rows[0].positive != bare.rows[1].positive
    assert bare.notes == ()


def test_queries_with_one_answer_each(tokenizer: Any) -> None:
    made = template(tokenizer)
    (row,) = encode_pairs([GOOD], made, source="f").rows
    (alone,) = encode_answers([(GOOD.prompt, GOOD.positive)], made, source="f")
    assert alone == Row(row.prompt, row.positive, row.prefix_length)


@pytest.mark.parametrize(
    ("exchange", "message"),
    [
        (("", "Yes"), "prompt is empty"),
        ((QUERY, " "), "answer is empty"),
        ((QUERY, "Yes " * 100), "tokens long, max_length is 100"),
    ],
)
def test_a_bad_exchange_is_named(exchange: tuple[str, str], message: str) -> None:
    with pytest.raises(DataError, match=f"f, row 8: .*{message}"):
        encode_answers([(QUERY, "Yes"), exchange], template(qwen(), max_length=100), source="f", indices=(2, 8))
