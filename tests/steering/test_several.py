"""Several interventions at once: each at its own m, as the sum of attachments; rows and batches change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from easyedit_split.files.journal import Journal
from easyedit_split.steering.attach import attach
from easyedit_split.steering.generate import GenerateConfig, generate_texts, reply
from easyedit_split.types import ConfigError

from ..small import World, made, world

PROMPTS = ("Would you lead?", "Yes", "The offer?")
CONFIG = GenerateConfig(max_new_tokens=6, batch_size=4)


def two(here: World) -> list[Any]:
    return [made(here), made(here, "lora", site="mlp.down_proj", seed=3, positions="prompt")]


def by_hand(here: World, parts: list[Any], prompt: str, m: tuple[float, float]) -> str:
    ids, start = list(here.template.prompt(prompt)), len(here.template.prompt(prompt))
    stops = {*here.template.end_ids, 2, here.tokenizer.eos_token_id}
    batch = torch.tensor([ids])
    with torch.no_grad(), attach(here.model, parts[0], m[0]), attach(here.model, parts[1], m[1]):
        cache = None
        for _ in range(6):
            output = here.model(batch if cache is None else batch[:, -1:], past_key_values=cache, use_cache=True)
            cache, token = output.past_key_values, int(output.logits[0, -1].argmax())
            if token in stops:
                break
            batch = torch.cat([batch, torch.tensor([[token]])], -1)
    return here.template.decode(batch[0, start:].tolist())


@pytest.mark.parametrize("size", [1, 4, None])
def test_each_acts_at_its_own_strength(size: int | None) -> None:
    here = world("llama")
    parts, m = two(here), [0.0, (3.0, -2.0), (3.0, 0.0), 0.5]
    config = GenerateConfig(max_new_tokens=6, batch_size=size)
    found = generate_texts(here.model, here.template, PROMPTS, parts, m, config=config)
    assert [(a.m, a.index) for a in found] == [(value, i) for value in m for i in range(3)]
    each = {0.0: (0.0, 0.0), 0.5: (0.5, 0.5)}
    for answer in found:
        pair = answer.m if isinstance(answer.m, tuple) else each[answer.m]
        assert answer.text == by_hand(here, parts, answer.prompt, pair)  # type: ignore[arg-type]
    alone = generate_texts(here.model, here.template, PROMPTS, parts[0], [3.0], config=config)
    assert [a.text for a in alone] == [a.text for a in found if a.m == (3.0, 0.0)]
    assert len({tuple(a.text for a in found if a.m == value) for value in m}) == 4, "control"


def test_beams_samples_and_one_reply_take_several_too() -> None:
    here = world()
    parts = two(here)
    for settings in ({"num_beams": 2}, {"do_sample": True}):
        config = GenerateConfig(max_new_tokens=4, **settings)
        both = generate_texts(here.model, here.template, PROMPTS, parts, [(3.0, 0.0)], config=config)
        one = generate_texts(here.model, here.template, PROMPTS, parts[0], [3.0], config=config)
        if settings == {"num_beams": 2}:  # draws come from a seed of the strengths
            assert [a.text for a in both] == [a.text for a in one]
    text = reply(here.model, here.template, here.template.prompt("Yes"), parts, (3.0, -2.0), CONFIG)
    assert text == by_hand(here, parts, "Yes", (3.0, -2.0))


def test_a_resumed_run_knows_what_it_wrote(tmp_path: Path) -> None:
    here, m = world(), [(3.0, -2.0), 0.5]
    journal = Journal.beside(tmp_path / "texts.json", {})
    whole = generate_texts(here.model, here.template, PROMPTS, two(here), m, config=CONFIG, journal=journal)
    again = Journal.beside(tmp_path / "texts.json", {})
    here.model.generate = None  # control: nothing is written again
    assert generate_texts(here.model, here.template, PROMPTS, two(here), m, config=CONFIG, journal=again) == whole


def test_strengths_that_are_not_one_each_are_refused() -> None:
    here = world()
    for m, match in (((1.0, 2.0, 3.0), "3 strengths .* for 2 interventions"), ((1.0, float("inf")), "finite")):
        with pytest.raises(ConfigError, match=match):
            generate_texts(here.model, here.template, PROMPTS, two(here), [m])
