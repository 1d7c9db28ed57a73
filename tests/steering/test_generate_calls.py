"""Every way of ``model.generate`` steers the tokens that the plain one steers, under every token policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from transformers import TextIteratorStreamer

from easyedit_split.steering.attach import attach
from easyedit_split.text.batching import Row, collate
from easyedit_split.text.positions import POLICIES
from easyedit_split.types import ConfigError

from ..attached import made
from ..tiny import tiny_model

PROMPTS = ((1, 4, 11, 12, 13, 14, 11, 12), (1, 4, 9, 10))
STEPS = 6
PREFIX: Mapping[str, Any] = {"skip_prefix": True, "prefix_ids": (1, 4), "bos_id": 1}
NEVER = 10_000
"""An end token that no answer has: lookup in transformers 5.10 cannot do without one."""
PLAIN: Mapping[str, Any] = {"max_new_tokens": STEPS, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}


def by_hand(model: Any, intervention: Any, prompt: tuple[int, ...], policy: str, m: float) -> list[int]:
    """Greedy, whole rows, the change added by a hook of the test's own."""
    ids, start = list(prompt), len(prompt)
    form = intervention[intervention.sites[0]]

    def steer(module: Any, args: Any, y: torch.Tensor) -> torch.Tensor:
        place = torch.arange(y.shape[1])
        chosen = {
            "all": place >= 0,
            "prompt": place < start,
            "last_prompt": place == start - 1,
            "answer": place >= start - 1,
        }[policy] & (place >= 2)
        return torch.where(chosen[:, None], y + form.delta(args[0], m).to(y), y)

    handle = model.model.layers[1].mlp.down_proj.register_forward_hook(steer)
    with torch.no_grad():
        for _ in range(STEPS):
            ids.append(int(model(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
    handle.remove()
    return ids[start:]


def batch(prompts: tuple[tuple[int, ...], ...]) -> dict[str, torch.Tensor]:
    made_of = collate([Row(prompt, (), 2) for prompt in prompts], pad_id=0, side="left")
    return {"input_ids": made_of.input_ids, "attention_mask": made_of.attention_mask}


WAYS: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "cache": lambda model: {},
    "no cache": lambda model: {"use_cache": False},
    "static cache": lambda model: {"cache_implementation": "static"},
    "prompt lookup": lambda model: {"prompt_lookup_num_tokens": 3, "eos_token_id": NEVER},
    "assisted": lambda model: {"assistant_model": tiny_model("llama", torch.float32, seed=3)},
    "stop strings": lambda model: {"stopping_criteria": [lambda ids, scores: ids[:, 0] < -1]},
    "several answers": lambda model: {"num_return_sequences": 2, "do_sample": True, "top_k": 1},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("policy", POLICIES)
def test_every_way_steers_the_same_tokens(way: str, policy: Any) -> None:
    model = tiny_model("llama", torch.float32)
    model.set_attn_implementation("eager")
    intervention, m = made(model, "lora", (1,), positions=policy, **PREFIX), 30.0
    single = way in ("prompt lookup", "assisted")  # transformers' own limit: one row
    wanted = [by_hand(model, intervention, prompt, policy, m) for prompt in PROMPTS]
    batches = [(prompt,) for prompt in PROMPTS] if single else [PROMPTS]
    found: list[list[int]] = []
    for prompts in batches:
        rows = batch(prompts)
        with torch.no_grad(), attach(model, intervention, m):
            ids = model.generate(**rows, **{**PLAIN, **WAYS[way](model)})
        found += [row[rows["input_ids"].shape[1] :].tolist() for row in ids]
    copies = len(found) // len(wanted)
    assert found == [text for text in wanted for _ in range(copies)]
    assert wanted != [by_hand(model, intervention, prompt, policy, 0.0) for prompt in PROMPTS], "control"
    assert "generate" not in vars(model)


@pytest.mark.parametrize("policy", ["prompt", "answer"])
def test_beams_steer_the_same_tokens_with_and_without_a_cache(policy: Any) -> None:
    model = tiny_model("llama", torch.float32)
    intervention, rows = made(model, "lora", (1,), positions=policy, **PREFIX), batch(PROMPTS)
    texts = []
    for cached in (True, False):
        with torch.no_grad(), attach(model, intervention, 30.0):
            texts.append(model.generate(**rows, **{**PLAIN, "num_beams": 3, "use_cache": cached}))
    assert torch.equal(*texts)
    assert not torch.equal(texts[0], model.generate(**rows, **{**PLAIN, "num_beams": 3}))


def test_a_cache_filled_before_is_part_of_the_prompt() -> None:
    model = tiny_model("llama", torch.float32)
    ids = torch.tensor([PROMPTS[0]])
    for policy in POLICIES:
        intervention = made(model, "lora", (1,), positions=policy, **PREFIX)
        for held in (1, 5):
            with torch.no_grad(), attach(model, intervention, 30.0):
                if policy == "last_prompt":
                    continue  # the end of what is filled in is the end of a prompt to that call
                cache = model(ids[:, :held], use_cache=True).past_key_values
                text = model.generate(ids, past_key_values=cache, attention_mask=torch.ones_like(ids), **PLAIN)
            if policy == "all" or (policy == "prompt"):
                assert text[0, len(PROMPTS[0]) :].tolist() == by_hand(model, intervention, PROMPTS[0], policy, 30.0)


def test_text_is_streamed_as_it_is_written() -> None:
    model = tiny_model("llama", torch.float32)
    intervention = made(model, "lora", (1,), **PREFIX)
    said: list[int] = []

    class Streamer(TextIteratorStreamer):
        def __init__(self) -> None: ...

        def put(self, value: torch.Tensor) -> None:
            said.extend(value.flatten().tolist())

        def end(self) -> None: ...

    with torch.no_grad(), attach(model, intervention, 30.0):
        model.generate(**batch(PROMPTS[:1]), **PLAIN, streamer=Streamer())
    policy = intervention.config.positions
    assert said[len(PROMPTS[0]) :] == by_hand(model, intervention, PROMPTS[0], policy, 30.0)


def test_embeddings_have_no_ids_for_a_prefix() -> None:
    model = tiny_model("llama", torch.float32)
    rows = batch(PROMPTS)
    given = {"inputs_embeds": model.get_input_embeddings()(rows["input_ids"]), "attention_mask": rows["attention_mask"]}
    with (
        attach(model, made(model, "lora", (1,), **PREFIX), 1.0),
        pytest.raises(ConfigError, match="skip_prefix needs token ids"),
    ):
        model.generate(**given, **PLAIN)
    for policy in POLICIES:
        intervention = made(model, "lora", (1,), positions=policy, skip_prefix=False)
        texts = []
        for way in (given, rows):
            with torch.no_grad(), attach(model, intervention, 30.0):
                texts.append(model.generate(**way, **PLAIN)[:, -STEPS:])
        assert torch.equal(*texts)


def test_attachments_that_end_in_another_order_leave_generate_as_it_was() -> None:
    model = tiny_model("llama", torch.float32)
    first, second = (attach(model, made(model, "lora", skip_prefix=False), 1.0) for _ in range(2))
    own = model.generate = model.generate  # somebody's own, on the object
    first.__enter__()
    second.__enter__()
    model.generate(**batch(PROMPTS), **PLAIN)
    first.__exit__(None, None, None)
    model.generate(**batch(PROMPTS), **PLAIN)
    second.__exit__(None, None, None)
    assert model.generate is own
