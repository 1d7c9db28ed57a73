"""Attach: hooked equals merged, m = 0 is the bare model bit for bit, only the policy's tokens move, nothing stays."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from easyedit_split.config import build
from easyedit_split.model.hooks import activations
from easyedit_split.model.sites import DECODER_LINEARS, Site, find_linear
from easyedit_split.scoring.score import layout_of
from easyedit_split.steering.attach import attach
from easyedit_split.steering.intervention import Intervention, InterventionConfig
from easyedit_split.text.batching import Row, collate
from easyedit_split.text.positions import POLICIES, Layout, position_mask
from easyedit_split.types import ConfigError

from ..tiny import BLOCKS, FAMILIES, POST_NORM, tiny_model

IDS = torch.randint(3, 97, (2, 11), generator=torch.Generator().manual_seed(5))
LINEARS = tuple(DECODER_LINEARS)


def made(model: Any, form: str, layers: tuple[int, ...] = (1,), scale: float = 0.3, **settings: Any) -> Intervention:
    """An intervention with random parameters, in the model's dtype where that is float64."""
    intervention = Intervention.create(model, form, layers, **settings)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in intervention.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    return intervention


def logits(model: Any, ids: torch.Tensor = IDS, **kwargs: Any) -> torch.Tensor:
    with torch.no_grad():
        out: torch.Tensor = model(input_ids=ids, **kwargs).logits
    return out


def merged(model: Any, intervention: Intervention, m1: float, m2: float) -> Any:
    """A copy of the model with W + m1 dW and b + m2 db written into its weights (the oracle)."""
    edited = copy.deepcopy(model)
    for site in intervention.sites:
        linear: Any = find_linear(edited, site)
        dW, db = intervention[site].weight_delta(), intervention[site].bias_delta()
        with torch.no_grad():
            if dW is not None:
                linear.weight += m1 * dW.to(linear.weight.dtype)
            if db is not None:
                bias = torch.zeros_like(linear.weight[:, 0]) if linear.bias is None else linear.bias
                linear.bias = nn.Parameter(bias + m2 * db.to(bias.dtype))
    return edited


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("form", ["vector", "lora", "local_weight"])
def test_hooked_equals_merged_at_every_linear_map(family: str, form: str) -> None:
    model = tiny_model(family)
    for name in LINEARS:
        intervention = made(model, form, (0, 2), site=name, skip_prefix=False)
        with attach(model, intervention, (0.7, -1.3)):
            hooked = logits(model)
        torch.testing.assert_close(hooked, logits(merged(model, intervention, 0.7, -1.3)), atol=1e-9, rtol=0)
        assert not torch.allclose(hooked, logits(merged(model, intervention, 0.8, -1.2)), atol=1e-4), name


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("form", ["lora", "local_weight"])
def test_placements_are_one_function_except_behind_a_post_norm(family: str, form: str) -> None:
    model = tiny_model(family)
    site, block = (made(model, form, placement=placement) for placement in ("site", "block_output"))
    with attach(model, site, 2.0):
        at_site = logits(model)
    with attach(model, block, 2.0):
        at_block = logits(model)
    assert torch.allclose(at_site, at_block, atol=1e-9, rtol=0) != POST_NORM[family]
    with attach(model, block, 2.0), activations(model, [Site(1, "residual"), Site(1, "mlp.down_proj")]) as after:
        logits(model)
    with activations(model, [Site(1, "residual")]) as before:
        logits(model)
    key = Site(1, "residual")
    changed = after[key] - before[key]
    x_in = _linear_input(model, Site(1, "mlp.down_proj"))
    torch.testing.assert_close(changed, block[Site(1, "mlp.down_proj")].delta(x_in, 2.0), atol=1e-9, rtol=0)


def _linear_input(model: Any, site: Site) -> torch.Tensor:
    seen: list[torch.Tensor] = []
    handle = find_linear(model, site).register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    logits(model)
    handle.remove()
    return seen[0]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("form", ["vector", "lora", "local_weight"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_zero_m_is_the_bare_model_bit_for_bit(family: str, form: str, dtype: torch.dtype) -> None:
    model = tiny_model(family, dtype)
    bare = logits(model)
    intervention = made(model, form, (0, 1))
    with attach(model, intervention, 0.0):
        assert torch.equal(logits(model), bare)
    with attach(model, intervention, torch.tensor([0.0, 0.5])):
        mixed = logits(model)
    assert torch.equal(mixed[0], bare[0])
    assert not torch.equal(mixed[1], bare[1])
    with attach(model, intervention, torch.tensor([0.0, 0.0])):
        assert torch.equal(logits(model), bare)
    assert torch.equal(logits(model), bare)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_model_is_untouched_afterwards_also_after_an_exception_and_when_stacked(family: str) -> None:
    model = tiny_model(family)
    bare, state = logits(model), {k: v.clone() for k, v in model.state_dict().items()}
    vector, lora = made(model, "vector"), made(model, "lora")
    with attach(model, vector, 2.0), attach(model, lora, 1.0):
        both = logits(model)
    with attach(model, lora, 1.0), attach(model, vector, 2.0):
        torch.testing.assert_close(logits(model), both, atol=1e-9, rtol=0)
    with attach(model, vector, 2.0):
        assert not torch.allclose(logits(model), both, atol=1e-6)
    with pytest.raises(RuntimeError, match="on purpose"), attach(model, vector, 2.0):
        with attach(model, lora, 1.0):
            logits(model)
        raise RuntimeError("on purpose")
    assert torch.equal(logits(model), bare)
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_each_row_may_have_its_own_m_and_beams_share_their_rows() -> None:
    model = tiny_model("qwen2")
    intervention = made(model, "local_weight")
    m1, m2 = torch.tensor([0.5, -1.0]), torch.tensor([2.0, 0.0])
    with attach(model, intervention, (m1, m2)):
        together = logits(model)
    for row in range(2):
        with attach(model, intervention, (m1[row].item(), m2[row].item())):
            torch.testing.assert_close(together[row], logits(model)[row], atol=1e-9, rtol=0)
    doubled = IDS.repeat_interleave(2, 0)
    with attach(model, intervention, (m1, m2)):
        torch.testing.assert_close(logits(model, doubled)[::2], together, atol=1e-9, rtol=0)
        with pytest.raises(ConfigError, match="2 values of m for 3 rows"):
            logits(model, doubled[:3])


LENGTHS = torch.tensor([9, 6])
PROMPTS = torch.tensor([5, 4])
PREFIXES = torch.tensor([2, 1])
WANTED = {  # by hand, for the first row: prompt of 5 with an opening of 2, answer of 4
    ("all", False): [1, 1, 1, 1, 1, 1, 1, 1, 1],
    ("all", True): [0, 0, 1, 1, 1, 1, 1, 1, 1],
    ("prompt", False): [1, 1, 1, 1, 1, 0, 0, 0, 0],
    ("prompt", True): [0, 0, 1, 1, 1, 0, 0, 0, 0],
    ("last_prompt", False): [0, 0, 0, 0, 1, 0, 0, 0, 0],
    ("answer", False): [0, 0, 0, 0, 1, 1, 1, 1, 0],
}


@pytest.mark.parametrize(("policy", "skip"), list(WANTED))
def test_masks_by_hand_under_both_paddings(policy: Any, skip: bool) -> None:
    place = torch.arange(9)
    right = torch.where(place < LENGTHS[:, None], place, -1)
    left = place - (9 - LENGTHS[:, None])
    for index in (right, torch.where(left >= 0, left, -1)):
        mask = position_mask(policy, skip, Layout(index, PROMPTS, PREFIXES, LENGTHS))
        assert mask[0].int().tolist() == WANTED[policy, skip]
        assert int(mask[1].sum()) <= 6
        assert not bool(mask[index < 0].any())


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


def test_the_report_says_what_was_touched_and_how_much() -> None:
    model = tiny_model("gemma2")
    intervention = made(model, "vector", (0, 2), skip_prefix=True, bos_id=int(IDS[0, 0]))
    site = Site(0, "residual")
    with activations(model, [site]) as bare:
        logits(model)
    with attach(model, intervention, 2.0, check=True) as attached:
        logits(model)
    first, second = attached.report()
    assert (first.site, first.module, second.site) == ("0.residual", "model.layers.0", "2.residual")
    assert (first.calls, first.tokens_seen, first.tokens_touched) == (1, 22, 21)
    v = intervention[site].bias_delta()
    assert v is not None
    h = bare[site].reshape(-1, bare[site].shape[-1])[1:]
    assert first.relative_norm == pytest.approx(float((2 * v.detach().double().norm() / h.norm(dim=-1)).mean()))


@pytest.mark.parametrize("check", [False, True])
def test_an_attachment_that_steers_no_token_of_any_call_is_an_error(check: bool) -> None:
    model = tiny_model("llama")
    intervention = made(model, "vector", skip_prefix=True, prefix_ids=tuple(IDS[0].tolist()))
    for m in (1.0, (0.0, 2.0), torch.tensor([-1.0])):
        with (
            pytest.raises(ConfigError, match=r"no token .* was steered .positions all, skip_prefix True.* 1.residual"),
            attach(model, intervention, m, check=check),
        ):
            logits(model, IDS[:1])
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    for m in (0.0, torch.tensor([0.0])):  # nothing was to be steered
        with attach(model, intervention, m, check=check):
            logits(model, IDS[:1])
    with attach(model, intervention, 1.0, check=check):  # one row of two is steered, or one call of two
        logits(model)
    with attach(model, intervention, 1.0, check=check):
        logits(model, IDS[:1])
        logits(model, IDS[1:])
    with pytest.raises(ZeroDivisionError), attach(model, intervention, 1.0, check=check):
        logits(model, IDS[:1])
        raise ZeroDivisionError  # the first error is the one that is seen


def test_no_call_at_all_is_an_error_under_check() -> None:
    model = tiny_model("llama")
    intervention = made(model, "vector")
    with pytest.raises(ConfigError, match="never called"), attach(model, intervention, 1.0, check=True):
        pass
    with attach(model, intervention, 1.0):
        pass


def test_a_change_of_nothing_is_said_under_check(caplog: pytest.LogCaptureFixture) -> None:
    model = tiny_model("llama")
    zero, some = made(model, "vector", scale=0.0, skip_prefix=False), made(model, "vector", skip_prefix=False)
    for intervention, m, changed in ((some, 1.0, 22), (zero, 1.0, 0), (some, 0.0, 0)):
        caplog.clear()
        with attach(model, intervention, m, check=True) as attached:
            logits(model)
        (applied,) = attached.report()
        assert applied.tokens_changed == changed
        assert ("22 tokens were steered and no value changed" in caplog.text) == (intervention is zero)
    with attach(model, zero, 1.0):
        logits(model)
    assert not caplog.text


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"layers": (BLOCKS,)}, f"layer {BLOCKS} does not exist: this model has blocks 0 to {BLOCKS - 1}"),
        ({"layers": ()}, "no sites"),
        ({"layers": (1, 1)}, "twice"),
        ({"layers": (0,), "site": "mlp.down"}, "did you mean 'mlp.down_proj'"),
        ({"layers": (0,), "site": "mlp.up_proj", "placement": "block_output"}, "output width 48"),
    ],
)
def test_where_nothing_could_be_steered_is_said_at_once(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Intervention.create(tiny_model("llama"), "lora", **settings)


@pytest.mark.parametrize(
    ("key", "value", "words"), [("placement", "sight", "'site'"), ("positions", "answers", "'answer'")]
)
def test_an_unknown_placement_or_policy_names_the_nearest(key: str, value: str, words: str) -> None:
    good = {"form": "lora", "sites": ["0.mlp.down_proj"]}
    assert build(InterventionConfig, good, "test").placement == "site"
    with pytest.raises(ConfigError, match=f"did you mean {words}"):
        build(InterventionConfig, {**good, key: value}, "test")


def test_a_model_of_another_width_and_calls_without_tokens_are_refused() -> None:
    model = tiny_model("llama")
    intervention = made(model, "lora", site="mlp.up_proj")
    down = made(model, "lora", site="mlp.down_proj")
    with pytest.raises(ConfigError, match="made for another model"), attach(tiny_wider(), down, 1.0):
        pass
    with attach(model, intervention, 1.0), pytest.raises(ConfigError, match="neither input_ids nor inputs_embeds"):
        model.model()
    with attach(model, intervention, 1.0), pytest.raises(ConfigError, match="outside a call of the whole model"):
        find_linear(model, Site(1, "mlp.up_proj"))(torch.zeros(1, 2, 32, dtype=torch.float64))
    layout = Layout(torch.arange(3)[None], torch.tensor([2]), torch.tensor([0]))
    with attach(model, intervention, 1.0, layout=layout), pytest.raises(ConfigError, match="the layout is for"):
        logits(model)
    skipping = made(model, "vector", prefix_ids=(3, 4))
    embeds = model.get_input_embeddings()(IDS)
    with attach(model, skipping, 1.0), pytest.raises(ConfigError, match="skip_prefix needs token ids"):
        model(inputs_embeds=embeds)


def tiny_wider() -> Any:
    from transformers import AutoModelForCausalLM

    from ..tiny import tiny_config

    config = tiny_config("llama")
    config.intermediate_size = 64
    return AutoModelForCausalLM.from_config(config)


def test_gradients_reach_the_intervention_only() -> None:
    model = tiny_model("gemma2")
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    intervention = made(model, "local_weight", (0, 1), placement="block_output")
    with attach(model, intervention, 1.0):
        model(input_ids=IDS).logits.square().mean().backward()
    assert all(p.grad is not None and p.grad.norm() > 0 for p in intervention.parameters())
    assert all(p.grad is None for p in model.parameters())
