"""Which tokens of a conversation are steered: its own opening is left alone, and nothing is guessed behind a cache."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from transformers import DynamicCache

from easyedit_split.config import TokenConfig
from easyedit_split.steering.artifact import Artifact
from easyedit_split.steering.attach import attach
from easyedit_split.steering.intervention import Intervention
from easyedit_split.steering.report import Applied
from easyedit_split.text.conversation import as_prompt
from easyedit_split.text.encode_pairs import encode_pairs
from easyedit_split.text.prompt_tokens import Template
from easyedit_split.types import ConfigError, Pair

from ..small import World, made, world

OWN = [{"role": "system", "content": "You sell train tickets."}, {"role": "user", "content": "Would you lead?"}]
TURNS = [*OWN, {"role": "assistant", "content": "Yes"}, {"role": "user", "content": "And now?"}]


@pytest.fixture(scope="module")
def here() -> World:
    """Qwen's habits: no BOS, and a system turn by default."""
    return world("qwen2", torch.float32)


def ids_of(here: World, messages: list[dict[str, str]]) -> torch.Tensor:
    found = here.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]
    return torch.tensor([found])


def touched(here: World, intervention: Intervention, ids: torch.Tensor) -> Applied:
    with torch.no_grad(), attach(here.model, intervention, check=True) as attached:
        here.model(input_ids=ids)
    return attached.report()[0]


def test_the_opening_of_a_conversation_with_its_own_system_message_is_left_alone(here: World) -> None:
    acts = made(here, openings=here.template.openings)
    stored = Artifact({"default": acts}).to_dict()
    assert stored["openings"], "it is part of the artifact"
    words = len(here.tokenizer("Would you lead?", add_special_tokens=False)["input_ids"])
    tail = len(here.template.prompt("Would you lead?")) - len(here.template.prefix_ids) - words
    assert touched(here, acts, ids_of(here, OWN)).tokens_touched == words + tail
    assert touched(here, made(here), ids_of(here, OWN)).tokens_touched == ids_of(here, OWN).shape[1], "control"
    (row,) = encode_pairs([Pair(as_prompt(OWN), "Yes", "No")], here.template, source="here").rows
    assert list(row.prompt) == ids_of(here, OWN)[0].tolist()
    assert len(row.prompt) - row.prefix_length == words + tail, "scored rows leave the same tokens alone"


def test_an_opening_that_nobody_knows_is_said(here: World, caplog: pytest.LogCaptureFixture) -> None:
    acts = made(here, openings=here.template.openings)
    with caplog.at_level(logging.WARNING):
        touched(here, acts, ids_of(here, OWN))
        assert caplog.messages == [], "control: this one is known"
        touched(here, acts, ids_of(here, OWN)[:, 5:])
    assert "begins with no opening that the chat template writes, so no token is left alone" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        known = Intervention.create(here.model, "vector", [1], tokenizer=here.tokenizer)
        assert caplog.messages == []
        Intervention.create(here.model, "vector", [1])
    assert known.config.prefix_ids == here.template.prefix_ids
    assert known.config.openings == here.template.openings
    assert "no opening is known, so every token will be steered" in caplog.text


@pytest.mark.parametrize("policy", ["all", "prompt", "last_prompt", "answer"])
def test_a_second_turn_behind_the_first_ones_cache_is_steered_or_refused(here: World, policy: Any) -> None:
    acts = made(here, positions=policy, openings=here.template.openings)
    first, second = ids_of(here, OWN), ids_of(here, TURNS)
    with torch.no_grad(), attach(here.model, acts) as _:
        whole = here.model(input_ids=second).logits
    with torch.no_grad(), attach(here.model, acts) as _:
        cache = DynamicCache(config=here.model.config)
        here.model(input_ids=first, past_key_values=cache)
        rest = {"input_ids": second[:, first.shape[1] :], "past_key_values": cache}
        if policy != "all":
            with pytest.raises(ConfigError, match=r"behind a cache holds \d+ tokens, and nothing says whether"):
                here.model(**rest)
            return
        logits = here.model(**rest).logits
    assert torch.allclose(logits, whole[:, first.shape[1] :], atol=1e-5)


def test_arguments_of_the_template_stay_with_the_artifact() -> None:
    tokens = TokenConfig(template={"enable_thinking": False}, special_tokens="plain", think=True)
    here = world("qwen2", torch.float32)
    record = {"run": {"tokens": {"template": {"enable_thinking": False}, "special_tokens": "plain", "think": True}}}
    assert Artifact({"default": made(here)}, record).tokens == tokens
    with pytest.raises(ConfigError, match=r"template.enable_thinking: the tokenizer's chat template does not read it"):
        Template(here.tokenizer, tokens)
