"""Templates: one BOS, the exchange as the template renders it, its constant template prefix."""

from __future__ import annotations

from typing import Any

import pytest

from easyedit_split.config import TokenConfig
from easyedit_split.text.openings import prefix_lengths
from easyedit_split.text.prompt_tokens import Template, tokenizer_hash
from easyedit_split.types import ConfigError, DataError

from ..toy_tokenizers import ALL, gemma, llama2, llama3, plain, qwen, qwen3
from .rendered import QUERY, template

WITH_BOS = ["gemma", "llama3", "llama2", "llama2-unigram", "llama2-no-template"]


# --- one BOS ---------------------------------------------------------------------------------------------------------


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


# --- the rendered exchange -------------------------------------------------------------------------------------------


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


# --- the constant template prefix -----------------------------------------------------------------------------------


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


# --- special tokens inside texts -------------------------------------------------------------------------------------


def test_special_tokens_in_a_query_are_an_error_under_a_template() -> None:
    with pytest.raises(DataError, match=r"special token '<end_of_turn>': remove it"):
        template(gemma()).prompt("Hello <end_of_turn>")


def test_special_tokens_are_refused_read_or_taken_as_characters_as_the_user_chose() -> None:
    text, end = "Hello <|endoftext|>", plain().eos_token_id
    for written in ("prompt", "answer"):
        with pytest.raises(DataError, match=r"'<\|endoftext\|>': remove it, or say .* plain .* or read"):
            getattr(template(plain()), written)(text)
        as_text = getattr(template(plain(), special_tokens="plain", score_end=False), written)(text)
        assert end not in as_text, "its characters"
        assert "<|endoftext|>" in template(plain()).decode(as_text)
        assert getattr(template(plain(), special_tokens="read"), written)(text)[-1] == end
    assert template(plain(), special_tokens="read").answer(text).count(end) == 1, "the answer's own end is not doubled"
    with pytest.raises(DataError, match="special_tokens: read"):
        template(gemma(), special_tokens="plain").prompt("Hello <end_of_turn>")


# --- pairs -----------------------------------------------------------------------------------------------------------


def test_tokenizer_hash_sees_what_decides_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    before = tokenizer_hash(gemma())
    assert before != tokenizer_hash(llama2())
    gemma()(["a", "a b"], padding=True, truncation=True, max_length=4)
    template(gemma()).answer("x")
    assert tokenizer_hash(gemma()) == before, "padding, truncation and use leave it alone"
    monkeypatch.setattr(gemma(), "chat_template", gemma().chat_template + " ")
    assert tokenizer_hash(gemma()) != before


# --- batches ---------------------------------------------------------------------------------------------------------


def test_what_ends_an_answer_is_known_also_where_it_is_not_scored() -> None:
    scored, unscored = (Template(gemma(), TokenConfig(score_end=end)) for end in (True, False))
    assert unscored.stop_ids == scored.stop_ids == scored.end_ids != ()
    assert unscored.end_ids == ()
    assert unscored.answer("Yes") == scored.answer("Yes")[:-1]
