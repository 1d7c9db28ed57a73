"""Values that overflow the dtype are an error that names the m, however text is written."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from easyedit_split.steering.generate import GenerateConfig, generate_texts, reply
from easyedit_split.types import ConfigError

from ..small import World, made, world

PROMPTS = ("Would you lead?", "Yes")
MATCH = r"at m = 1e\+06 the logits are not finite: the steered values are more than float16 holds"


def half() -> World:
    here = world(dtype=torch.float16)
    here.model.set_attn_implementation("eager")
    return here


@pytest.mark.parametrize("settings", [{}, {"do_sample": True}, {"num_beams": 2}, {"num_beams": 2, "do_sample": True}])
def test_an_overflow_names_its_strength(settings: dict[str, Any]) -> None:
    here = half()
    vector, config = made(here).float(), GenerateConfig(max_new_tokens=3, **settings)
    with pytest.raises(ConfigError, match=MATCH):
        generate_texts(here.model, here.template, PROMPTS, vector, [0.5, 1e6], config=config)
    generate_texts(here.model, here.template, PROMPTS, vector, [0.5, 0.0], config=config)  # control


def test_so_does_a_reply_and_one_of_two_interventions() -> None:
    here = half()
    parts = [made(here).float(), made(here, seed=2).float()]
    with pytest.raises(ConfigError, match=MATCH):
        reply(here.model, here.template, here.template.prompt("Yes"), parts[0], 1e6)
    with pytest.raises(ConfigError, match=r"at m = 0.5 and 1e\+06 the logits are not finite"):
        reply(here.model, here.template, here.template.prompt("Yes"), parts, (0.5, 1e6))


def test_a_model_that_overflows_by_itself_is_told_apart() -> None:
    here = half()
    with torch.no_grad():
        here.model.model.norm.weight.fill_(6e4)
    with pytest.raises(ConfigError, match="the unsteered model's own logits are not finite in float16"):
        generate_texts(here.model, here.template, PROMPTS)


def test_a_token_that_may_not_be_said_is_no_overflow() -> None:
    here = world()
    head = here.model.lm_head
    real = head.forward

    def forward(h: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = real(h)
        logits[..., 5:9] = -torch.inf
        return logits

    head.forward = forward
    assert all(answer.text for answer in generate_texts(here.model, here.template, PROMPTS))
