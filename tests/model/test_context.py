"""A row beyond the model's context is an error that names it: in training, scoring and generation."""

from __future__ import annotations

import pytest
from torch import nn

from easyedit_split.model.context import context_of
from easyedit_split.scoring.encode_table import encode_table
from easyedit_split.steering.generate import GenerateConfig, generate_texts, greedy_rows, reply
from easyedit_split.text.encode_pairs import encode_answers
from easyedit_split.types import DataError, Pair

from ..small import World, world

PAIR = Pair("Would you lead?", "Yes, I would.", "No.")


@pytest.fixture
def here() -> World:
    return world("llama")


@pytest.fixture
def longest(here: World) -> int:
    (row,) = encode_table(table(), here.template, here.model).rows
    return len(row.prompt) + max(len(row.positive), len(row.negative))


def table():  # type: ignore[no-untyped-def]
    from easyedit_split.datasets.in_memory import as_pairs

    return as_pairs([{"prompt": PAIR.prompt, "positive": PAIR.positive, "negative": PAIR.negative}])


def test_a_row_that_fits_is_taken_and_one_token_more_is_not(
    here: World, longest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert context_of(here.model) == here.model.config.max_position_embeddings
    monkeypatch.setattr(here.model.config, "max_position_embeddings", longest)
    assert len(encode_table(table(), here.template, here.model).rows) == 1
    monkeypatch.setattr(here.model.config, "max_position_embeddings", longest - 1)
    with pytest.raises(DataError, match=f"row 0: {longest} tokens long, the model's context is {longest - 1}"):
        encode_table(table(), here.template, here.model)
    with pytest.raises(DataError, match=r"row 0: .* the model's context is"):
        encode_answers([(PAIR.prompt, PAIR.positive)], here.template, source="s", context=longest - 1)


def test_generation_needs_room_for_the_longest_answer(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    prompt = here.template.generation_prompt(PAIR.prompt)
    monkeypatch.setattr(here.model.config, "max_position_embeddings", len(prompt) + 4)
    fits, beyond = GenerateConfig(max_new_tokens=4), GenerateConfig(max_new_tokens=5)
    assert len(generate_texts(here.model, here.template, [PAIR.prompt], config=fits)) == 1
    with pytest.raises(DataError, match=f"prompt 0 is {len(prompt)} tokens long, and with max_new_tokens=5"):
        generate_texts(here.model, here.template, [PAIR.prompt], config=beyond)
    with pytest.raises(DataError, match="prompt 0 is"):
        greedy_rows(here.model, here.template, [PAIR.prompt], beyond)
    with pytest.raises(DataError, match="the conversation is"):
        reply(here.model, here.template, prompt, None, 0.0, beyond)


def test_a_model_that_states_no_limit_has_none() -> None:
    assert context_of(nn.Linear(2, 2)) is None
