"""Prompt, answer and their seam, over tokenizers with every habit of the families."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from easyedit_split.config import TokenConfig
from easyedit_split.text.batching import Row, collate, plan_batches
from easyedit_split.text.encode import Template, encode_answers, encode_pairs, prefix_lengths, tokenizer_hash
from easyedit_split.types import ConfigError, DataError, Pair

from ..toy_tokenizers import ALL, gemma, llama2, llama3, plain, qwen, qwen3

QUERY = "Would you say it?"
GOOD = Pair(QUERY, "Yes, I would", "No, thank you")
WITH_BOS = ["gemma", "llama3", "llama2", "llama2-unigram", "llama2-no-template"]


@pytest.fixture(params=sorted(ALL))
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return ALL[request.param]()


def without_positive() -> Pair:
    pair = Pair(QUERY, "", "No")
    object.__setattr__(pair, "positive", None)  # what a caller without type checks may hand over
    return pair


def template(tokenizer: Any, **settings: Any) -> Template:
    return Template(tokenizer, TokenConfig(**settings))


# --- one BOS -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WITH_BOS)
def test_bos_stands_once_and_first(name: str) -> None:
    made = template(ALL[name]())
    ids = made.prompt(QUERY) + made.answer("Yes")
    assert ids[0] == made.bos_id
    assert ids.count(ids[0]) == 1


def test_control_the_naive_way_writes_bos_twice() -> None:
    tokenizer = llama3()
    rendered = tokenizer.apply_chat_template([{"role": "user", "content": QUERY}], tokenize=False)
    assert list(tokenizer(rendered)["input_ids"]).count(tokenizer.bos_token_id) == 2


def test_no_bos_where_the_model_has_none() -> None:
    for tokenizer in (qwen(), plain()):
        made = template(tokenizer)
        assert made.bos_id is None
        assert tokenizer.bos_token_id not in made.prompt(QUERY)


def test_a_template_that_writes_bos_twice_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = llama3()
    monkeypatch.setattr(tokenizer, "chat_template", "{{ bos_token }}" + tokenizer.chat_template)
    with pytest.raises(ConfigError, match=r"BOS .* twice"):
        template(tokenizer)


# --- the rendered exchange -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["qwen", "gemma", "llama3", "llama2"])
def test_prompt_is_the_templates_own(name: str) -> None:
    tokenizer = ALL[name]()
    messages = [{"role": "user", "content": QUERY}]
    own = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]
    assert list(template(tokenizer).prompt(QUERY)) == own


@pytest.mark.parametrize("name", ["qwen", "qwen3", "gemma", "llama3", "llama2", "llama2-unigram"])
def test_prompt_and_answer_are_a_finished_exchange(name: str) -> None:
    tokenizer = ALL[name]()
    made = template(tokenizer, score_end=False)
    messages = [{"role": "user", "content": QUERY}, {"role": "assistant", "content": "Yes, I would"}]
    finished = tokenizer.apply_chat_template(messages, return_dict=True)["input_ids"]
    row = made.prompt(QUERY) + made.answer("Yes, I would")
    assert list(row) == finished[: len(row)]


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("qwen", "<|im_end|>"),
        ("gemma", "<end_of_turn>"),
        ("llama3", "<|eot_id|>"),
        ("llama2", "</s>"),
        ("llama2-no-template", "</s>"),
        ("plain", "<|endoftext|>"),
    ],
)
def test_the_end_is_read_off_the_template(name: str, end: str) -> None:
    tokenizer = ALL[name]()
    made = template(tokenizer)
    assert made.end_ids == (tokenizer.convert_tokens_to_ids(end),)
    assert made.answer("Yes")[-1:] == made.end_ids
    without = template(tokenizer, score_end=False)
    assert without.end_ids == ()
    assert without.answer("Yes") == made.answer("Yes")[:-1]


def test_control_the_end_of_a_turn_is_not_eos_everywhere() -> None:
    assert template(gemma()).end_ids != (gemma().eos_token_id,)


def test_no_end_token_at_all() -> None:
    tokenizer = plain()
    without_eos = type(tokenizer)(tokenizer_object=tokenizer.backend_tokenizer, unk_token="<|endoftext|>")
    assert template(without_eos).end_ids == ()


def test_system_prompt_is_a_turn_or_folded_into_the_users() -> None:
    decoded = qwen().decode(list(template(qwen(), system="Be kind.").prompt(QUERY)))
    assert decoded.startswith("<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\n")
    assert "helpful" not in decoded
    folded = template(gemma(), system="Be kind.").prompt(QUERY)
    assert folded == template(gemma()).prompt(f"Be kind.\n\n{QUERY}")


def test_system_prompt_is_folded_where_the_template_swallows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    swallow = qwen3().chat_template.replace(
        "{%- for m in messages %}", "{%- for m in messages if m.role != 'system' %}"
    )
    monkeypatch.setattr(qwen3(), "chat_template", swallow)
    assert "Be kind." in template(qwen3(), system="Be kind.").decode(template(qwen3(), system="Be kind.").prompt("x"))


def test_system_prompt_without_a_template() -> None:
    made = template(plain(), system="Be kind.")
    assert made.decode(made.prompt(QUERY)) == f"Be kind.\n\n{QUERY}"


def test_todays_date_does_not_change_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    dated = (
        "{%- if not date_string is defined %}{%- set date_string = strftime_now('%f') %}{%- endif %}{{ date_string }}"
    )
    monkeypatch.setattr(qwen3(), "chat_template", dated + qwen3().chat_template)
    assert template(qwen3()).decode(template(qwen3()).prompt(QUERY)).startswith("26 Jul 2024")


def test_template_settings_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="has none: use auto or off"):
        template(plain(), chat_template="on")
    assert template(qwen(), chat_template="off").chat is None
    assert template(qwen(), chat_template="on").chat is not None
    for broken, message in (("{{ raise_exception('no') }}", r"fails \(no\)"), ("hello", "does not show the user")):
        monkeypatch.setattr(qwen3(), "chat_template", broken)
        with pytest.raises(ConfigError, match=message):
            template(qwen3())


# --- the constant opening ------------------------------------------------------------------------------------------


def test_every_prompt_starts_with_the_prefix(tokenizer: Any) -> None:
    made = template(tokenizer)
    prompts = [made.prompt(text) for text in (QUERY, "Is 7 more than 3?", "éa", "(no)", "Zoo")]
    assert all(prompt[: len(made.prefix_ids)] == made.prefix_ids for prompt in prompts)
    assert len({prompt[len(made.prefix_ids)] for prompt in prompts}) > 1, "the prefix stops too early"
    assert prefix_lengths(prompts, made.prefix_ids, made.bos_id) == (len(made.prefix_ids),) * len(prompts)


def test_prefix_holds_template_and_system_turn() -> None:
    assert qwen().decode(list(template(qwen()).prefix_ids)).endswith("<|im_end|>\n<|im_start|>user\n")
    assert gemma().decode(list(template(gemma()).prefix_ids)) == "<bos><start_of_turn>user\n"
    assert "Be kind." in gemma().decode(list(template(gemma(), system="Be kind.").prefix_ids))
    assert template(plain()).prefix_ids == ()
    assert template(llama2(with_template=False)).prefix_ids == (llama2(with_template=False).bos_token_id,)


def test_prefix_lengths_by_ids() -> None:
    prefix = (1, 5, 6, 7)
    rows = [(1, 5, 6, 7, 9), (1, 5, 6, 8, 9), (1, 5, 9, 9, 9), (5, 6, 7, 9), (), (1,)]
    assert prefix_lengths(rows, prefix, 1) == (4, 3, 1, 0, 0, 1)
    assert prefix_lengths(rows, (), None) == (0,) * 6
    assert prefix_lengths([(5, 6), (1, 5)], (1,), 1) == (0, 1)


def test_a_prefix_whose_last_token_merged_into_the_query_is_still_found() -> None:
    made = template(qwen())
    prompt = made.prompt("\nTwo lines")
    assert prompt[: len(made.prefix_ids)] != made.prefix_ids, "the line breaks are one token"
    assert prefix_lengths([prompt], made.prefix_ids, made.bos_id) == (len(made.prefix_ids) - 1,)


# --- the seam ------------------------------------------------------------------------------------------------------


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


# --- special tokens inside texts -----------------------------------------------------------------------------------


def test_special_tokens_in_an_answer_are_plain_text(tokenizer: Any) -> None:
    if tokenizer is llama2("always", True):
        pytest.skip("this vocabulary cannot spell the characters of a special token")
    made = template(tokenizer)
    token = tokenizer.eos_token
    ids = made.answer(f"no {token} yes")
    assert tokenizer.eos_token_id not in ids[: -len(made.end_ids)]
    assert ids[-1:] == made.end_ids
    assert token in made.decode(ids)
    naive = tokenizer(f"no {token} yes", add_special_tokens=False)["input_ids"]
    assert tokenizer.eos_token_id in naive, "control: it would have been read as the token"


def test_special_tokens_in_a_query_are_an_error_under_a_template() -> None:
    with pytest.raises(DataError, match=r"special token '<end_of_turn>': remove it"):
        template(gemma()).prompt("Hello <end_of_turn>")
    made = template(plain())
    assert "<|endoftext|>" in made.decode(made.prompt("Hello <|endoftext|>"))


# --- pairs ---------------------------------------------------------------------------------------------------------


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
    with pytest.raises(DataError, match=r"mine.csv: no pair is left of 1"):
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


def test_tokenizer_hash_sees_what_decides_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    before = tokenizer_hash(gemma())
    assert before != tokenizer_hash(llama2())
    gemma()(["a", "a b"], padding=True, truncation=True, max_length=4)
    template(gemma()).answer("x")
    assert tokenizer_hash(gemma()) == before, "padding, truncation and use leave it alone"
    monkeypatch.setattr(gemma(), "chat_template", gemma().chat_template + " ")
    assert tokenizer_hash(gemma()) != before


# --- batches -------------------------------------------------------------------------------------------------------

ROWS = [Row((5, 2, 2), (7, 2), 1), Row((5,), (), 0), Row((2, 2, 2, 2), (9, 9, 2), 2)]  # pad = eos = 2


@pytest.mark.parametrize("side", ["right", "left"])
def test_masks_come_from_lengths_though_pad_is_eos(side: Any) -> None:
    batch = collate(ROWS, pad_id=2, side=side)
    assert batch.input_ids.shape == (3, 7)
    assert batch.lengths.tolist() == [5, 1, 7]
    assert batch.prompt_lengths.tolist() == [3, 1, 4]
    assert batch.prefix_lengths.tolist() == [1, 0, 2]
    for i, row in enumerate(ROWS):
        real = batch.attention_mask[i].bool()
        assert tuple(batch.input_ids[i, real].tolist()) == row.prompt + row.answer
        assert batch.position_ids[i, real].tolist() == list(range(int(batch.lengths[i])))
        assert batch.position_ids[i, ~real].tolist() == [0] * int((~real).sum())
        assert bool(real[0 if side == "right" else -1])
    assert {t.dtype for t in (batch.input_ids, batch.attention_mask, batch.position_ids, batch.lengths)} == {
        torch.int64
    }
    assert not torch.equal(batch.attention_mask, (batch.input_ids != 2).long()), "control: pad ids would hide tokens"


def test_sides_differ_only_in_where_the_padding_stands() -> None:
    right, left = collate(ROWS, pad_id=0), collate(ROWS, pad_id=0, side="left")
    assert not torch.equal(right.input_ids, left.input_ids)
    assert torch.equal(right.to("cpu").lengths, left.lengths)
    assert torch.equal(right.attention_mask.flip(1), left.attention_mask)


def test_batches_need_rows_and_prompts() -> None:
    with pytest.raises(ConfigError, match="at least one row"):
        collate([], pad_id=0)
    with pytest.raises(ConfigError, match="row 1 of the batch has no prompt token"):
        collate([ROWS[0], Row((), (1,), 0)], pad_id=0)


def test_plan_covers_every_row_once_within_the_bounds() -> None:
    lengths = [(7 * i) % 31 + 1 for i in range(200)] + [500]
    plan = plan_batches(lengths, max_tokens=120, max_rows=6)
    assert sorted(i for batch in plan for i in batch) == list(range(201))
    assert plan[0] == [200], "a row over the bound stands alone"
    for batch in plan[1:]:
        assert len(batch) <= 6
        assert max(lengths[i] for i in batch) * len(batch) <= 120
    assert plan == plan_batches(lengths, max_tokens=120, max_rows=6)
    padded = sum(max(lengths[i] for i in batch) * len(batch) for batch in plan)
    blind = sum(max(lengths[i : i + 6]) * len(lengths[i : i + 6]) for i in range(0, 201, 6))
    assert padded < 1.1 * sum(lengths) < blind, "like lengths lie together"


def test_plan_of_nothing_and_bad_bounds() -> None:
    assert plan_batches([], max_tokens=1, max_rows=1) == []
    with pytest.raises(ConfigError, match="max_rows is 0"):
        plan_batches([1], max_tokens=1, max_rows=0)


def test_what_ends_an_answer_is_known_also_where_it_is_not_scored() -> None:
    scored, unscored = (Template(gemma(), TokenConfig(score_end=end)) for end in (True, False))
    assert unscored.stop_ids == scored.stop_ids == scored.end_ids != ()
    assert unscored.end_ids == ()
    assert unscored.answer("Yes") == scored.answer("Yes")[:-1]
