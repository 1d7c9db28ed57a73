"""A model folder's own generation settings change no text here, but for what shapes its logits; each is named once."""

from __future__ import annotations

from typing import Any

import pytest
from transformers import GenerationConfig

from easyedit_split.steering.generate import GenerateConfig, generate_texts
from easyedit_split.steering.own_generation import not_followed

from ..small import World, world

PROMPTS = ("Would you lead?", "Yes")
MECHANICS: tuple[dict[str, Any], ...] = (
    {"return_dict_in_generate": True, "output_scores": True},
    {"num_return_sequences": 3, "do_sample": True},
    {"stop_strings": ["a", "e"]},
    {"penalty_alpha": 0.6, "top_k": 4},
    {"dola_layers": "low"},
    {"prompt_lookup_num_tokens": 3},
    {"use_cache": False},
    {"cache_implementation": "static"},
    {"num_beams": 3, "do_sample": True},
    {"max_length": 3},
    {"min_new_tokens": 40},
    {"max_time": 1e-9},
    {"guidance_scale": 2.0},
    {"forced_eos_token_id": 7},
)


def texts(here: World, **settings: Any) -> list[str]:
    config = GenerateConfig(max_new_tokens=8, **settings)
    return [answer.text for answer in generate_texts(here.model, here.template, PROMPTS, config=config)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("own", MECHANICS, ids=lambda own: next(iter(own)))
def test_the_folders_way_of_generating_is_set_aside(own: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    wanted = [texts(world(), **settings) for settings in ({}, {"num_beams": 2})]
    here = world()
    given = here.model.generation_config = GenerationConfig(**own, eos_token_id=here.tokenizer.eos_token_id)
    for settings, text in zip(({}, {"num_beams": 2}), wanted, strict=True):
        assert texts(here, **settings) == text
    assert here.model.generation_config is given
    names = not_followed(here.model)
    if names:
        assert caplog.text.count("generation_config these are not followed here: " + ", ".join(names)) == 1
    assert set(names) <= set(own)


def test_what_shapes_the_logits_is_kept() -> None:
    here = world()
    free = texts(here)
    here.model.generation_config.repetition_penalty = 5.0
    assert not_followed(here.model) == ()
    assert texts(here) != free
    here.model.generation_config.repetition_penalty = None
    assert texts(here) == free
    drawn = texts(here, do_sample=True)
    here.model.generation_config.top_k = 1
    assert texts(here, do_sample=True) == free != drawn
    assert texts(here) == free  # without sampling it says nothing
