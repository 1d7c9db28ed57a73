"""Attached while a model generates: cache, beams, sampling and the constant template prefix."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from easyedit_split.model.hooks import activations
from easyedit_split.model.sites import Site
from easyedit_split.scoring.score import layout_of
from easyedit_split.steering.attach import attach
from easyedit_split.steering.intervention import Intervention
from easyedit_split.text.batching import Row, collate
from easyedit_split.text.positions import POLICIES, Layout, position_mask

from ..attached import IDS, logits, made
from ..tiny import FAMILIES, tiny_model


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("policy", POLICIES)
def test_only_the_policys_tokens_move(family: str, policy: Any) -> None:
    model = tiny_model(family)
    intervention = made(model, "vector", (1,), positions=policy, skip_prefix=False)
    rows = [Row(tuple(range(3, 8)), (20, 21, 22), 1), Row(tuple(range(9, 12)), (30, 31), 1)]
    batch = collate(rows, pad_id=0, side="left")
    layout = layout_of(batch)
    inputs = {"ids": batch.input_ids, "attention_mask": batch.attention_mask, "position_ids": batch.position_ids}
    site = Site(1, "residual")
    with activations(model, [site]) as bare:
        logits(model, **inputs)
    with attach(model, intervention, 1.5, layout=layout), activations(model, [site]) as steered:
        logits(model, **inputs)
    moved = (steered[site] != bare[site]).any(-1)
    assert torch.equal(moved, position_mask(policy, False, layout))
    v = intervention[site].bias_delta()
    assert v is not None
    torch.testing.assert_close((steered[site] - bare[site])[moved], (1.5 * v.double()).expand(int(moved.sum()), -1))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("beams", [1, 3])
def test_generation_with_a_cache_equals_generation_without(family: str, policy: Any, beams: int) -> None:
    """KV cache, left padding and beams steer the same tokens as a full recomputation from one unpadded row."""
    model = tiny_model(family)
    intervention = made(model, "lora", (0, 1), positions=policy, skip_prefix=True, prefix_ids=(1, 4), bos_id=1)
    prompts = [(1, 4, 11, 12, 13, 14), (1, 4, 9, 10)]
    batch = collate([Row(p, (), 2) for p in prompts], pad_id=0, side="left")
    settings = {"max_new_tokens": 6, "do_sample": False, "num_beams": beams, "pad_token_id": 0, "eos_token_id": None}
    with attach(model, intervention, 30.0, check=True) as attached, torch.no_grad():
        cached = model.generate(input_ids=batch.input_ids, attention_mask=batch.attention_mask, **settings)
    assert attached.report()[0].tokens_touched > 0
    width = batch.input_ids.shape[1]
    for row, prompt in enumerate(prompts):
        answer = tuple(cached[row, width:].tolist())
        if beams == 1:
            assert answer == greedy(model, intervention, prompt)
        else:
            with attach(model, intervention, 30.0), torch.no_grad():
                alone = model.generate(input_ids=torch.tensor([prompt]), **settings)
            assert answer == tuple(alone[0, len(prompt) :].tolist())
    bare = model.generate(input_ids=batch.input_ids, attention_mask=batch.attention_mask, **settings)
    assert not torch.equal(bare, cached)


def greedy(model: Any, intervention: Intervention, prompt: tuple[int, ...], m: float = 30.0) -> tuple[int, ...]:
    """Greedy text with everything recomputed at every step and the layout spelled out."""
    ids = list(prompt)
    for _ in range(6):
        layout = Layout(torch.arange(len(ids))[None], torch.tensor([len(prompt)]), torch.tensor([2]))
        with attach(model, intervention, m, layout=layout):
            ids.append(int(logits(model, torch.tensor([ids]), use_cache=False)[0, -1].argmax()))
    return tuple(ids[len(prompt) :])


def test_sampling_is_steered_and_repeats() -> None:
    model = tiny_model("llama")
    settings = {"max_new_tokens": 8, "do_sample": True, "pad_token_id": 0, "eos_token_id": None, "top_k": 0}
    texts = []
    for m in (4.0, 4.0, 0.0):
        torch.manual_seed(3)
        with attach(model, made(model, "vector", skip_prefix=False), m):
            texts.append(model.generate(input_ids=IDS, **settings))
    assert torch.equal(texts[0], texts[1])
    assert not torch.equal(texts[0], texts[2])


def test_the_prefix_is_left_alone_in_generation() -> None:
    model = tiny_model("qwen2")
    site = Site(1, "residual")
    intervention = made(model, "vector", prefix_ids=(5, 6, 7), bos_id=None)
    ids = torch.tensor([[5, 6, 7, 20, 21], [5, 8, 7, 20, 21]])
    with activations(model, [site]) as bare:
        logits(model, ids)
    with attach(model, intervention, 1.0), activations(model, [site]) as steered:
        logits(model, ids)
    moved = (steered[site] != bare[site]).any(-1)
    assert moved.int().tolist() == [[0, 0, 0, 1, 1], [1, 1, 1, 1, 1]]
