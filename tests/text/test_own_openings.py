"""A conversation's own opening: its system message where that comes first, and what is said where it does not."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from easyedit_split.config import TokenConfig
from easyedit_split.steering.generate import GenerateConfig, generate_texts
from easyedit_split.steering.intervention import Intervention
from easyedit_split.text.conversation import as_prompt
from easyedit_split.text.encode_pairs import encode_pairs
from easyedit_split.text.openings import opening_length
from easyedit_split.text.own_openings import (
    hides_system,
    is_behind_a_turn,
    own_opening_length,
    say_hidden_system,
)
from easyedit_split.text.prompt_tokens import Template
from easyedit_split.types import Pair

from .. import tiny
from .template_shapes import SHAPES, tokenizer_of
from .test_template_shapes import ASKED, CONVERSATIONS, SYSTEM, said

LATE = {name for name, shape in SHAPES.items() if shape.system == "last"}
WORDS = {"vicuna", "vicuna-ends-in-a-space", "alpaca"}
OWN = [TokenConfig(), TokenConfig(system="Stay calm.")]


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("config", OWN, ids=["bare", "own"])
def test_the_opening_ends_where_the_first_users_words_begin(name: str, config: TokenConfig) -> None:
    template = Template(tokenizer_of(name), config)
    for kind, messages in CONVERSATIONS.items():
        prompt = as_prompt(messages)
        ids = template.prompt(prompt)
        length = own_opening_length(template, prompt, ids)
        first = next(m["content"] for m in messages if m["role"] == "user")
        assert template.tokenizer.decode(ids[length:]).startswith((first, f" {first}")), kind
        has_system = config.system is not None or messages[0]["role"] == "system"
        behind = name in LATE and len(messages) > 2 and has_system
        assert is_behind_a_turn(template, prompt, ids) is (behind and len(messages) > 1), kind
        if behind:  # scored, trained and called alike
            assert length == opening_length(ids, template.prefix_ids, template.openings)
            assert SYSTEM in template.tokenizer.decode(ids[length:]) or config.system is not None


def test_templates_in_which_no_token_ends_a_system_message_are_known() -> None:
    found = {name for name in SHAPES if hides_system(Template(tokenizer_of(name), TokenConfig()))}
    assert found == LATE | WORDS


def test_a_call_that_brings_ids_alone_takes_such_a_message_for_the_users_words() -> None:
    """What the warning says: it is so, and nothing in the ids could tell."""
    template = Template(tokenizer_of("mistral-spaced"), TokenConfig())
    prompt, bare = as_prompt(CONVERSATIONS["system"]), as_prompt(f"{SYSTEM}\n\n{ASKED}")
    ids = template.prompt(prompt)
    assert ids == template.prompt(bare)
    assert own_opening_length(template, bare, ids) == opening_length(ids, template.prefix_ids, template.openings)
    assert own_opening_length(template, prompt, ids) > own_opening_length(template, bare, ids)


def test_training_warns_once_where_a_system_message_is_hidden(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("mistral-spaced", "chatml"):
        template = Template(tokenizer_of(name), TokenConfig())
        say_hidden_system(template)
        say_hidden_system(template)
    assert [record.getMessage()[:34] for record in caplog.records] == ["no token ends a system message in "]


def pairs_of(*conversations: list[dict[str, str]]) -> list[Pair]:
    return [Pair(as_prompt(messages), "Yes, I would", "No, I would not") for messages in conversations]


def test_rows_whose_system_message_stands_behind_a_turn_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    rows = pairs_of(*CONVERSATIONS.values())
    for name, counted in (("mistral-spaced", ["mine: in 1 of 4 prompts the chat template writes"]), ("chatml", [])):
        caplog.clear()
        encode_pairs(rows, Template(tokenizer_of(name), TokenConfig()), source="mine")
        assert [record.getMessage()[:48] for record in caplog.records] == counted, name


@pytest.mark.parametrize("skip_prefix", [True, False])
def test_generating_says_it_where_the_opening_is_spared(skip_prefix: bool, caplog: pytest.LogCaptureFixture) -> None:
    tokenizer: Any = tokenizer_of("mistral-spaced")
    model = tiny.tiny_model("llama", vocab_size=len(tokenizer))
    template = Template(tokenizer, TokenConfig())
    settings = {"prefix_ids": template.prefix_ids, "bos_id": template.bos_id, "openings": template.openings}
    steers = Intervention.create(model, "vector", [0], skip_prefix=skip_prefix, **settings)
    turns = [as_prompt(CONVERSATIONS["system-turns"]), as_prompt(said(f"user: {ASKED}"))]
    with caplog.at_level(logging.WARNING, logger="easyedit_split"):
        generate_texts(model, template, turns, steers, [0.0, 1.0], config=GenerateConfig(max_new_tokens=2))
    told = [record.getMessage() for record in caplog.records if "behind an earlier turn" in record.getMessage()]
    assert [text[:17] for text in told] == (["in 1 of 2 prompts"] if skip_prefix else [])
