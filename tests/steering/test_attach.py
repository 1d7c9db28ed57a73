"""Attach: placements, stacks, one m per row; what does not fit a model is refused; nothing stays behind."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from easyedit_split.model.hooks import activations
from easyedit_split.model.sites import Site, find_linear
from easyedit_split.steering.attach import attach
from easyedit_split.text.positions import Layout
from easyedit_split.types import ConfigError

from ..attached import IDS, logits, made
from ..tiny import FAMILIES, POST_NORM, tiny_model


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
