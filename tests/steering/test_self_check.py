"""A model of no registered family is tried before it is steered, and refused with a number where it is not exact."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import linear

from easyedit_split.model.sites import Site, blocks_of, find_linear
from easyedit_split.steering import self_check
from easyedit_split.steering.attach import attach
from easyedit_split.steering.intervention import Intervention
from easyedit_split.steering.limits import NO_LIMITS, cache_error, limits_of, padding_error
from easyedit_split.steering.self_check import is_block_output, map_error, require_exact
from easyedit_split.types import ConfigError

from ..attached import IDS, fill, logits
from ..tiny import tiny_model
from ..zoo.exact import random_model


def made(model: Any, site: Site, form: str = "local_weight", **settings: Any) -> Intervention:
    intervention = Intervention.create(model, form, [site.block], site=site.name, skip_prefix=False, **settings)
    fill(intervention, 0.1)
    return intervention


class ReadsTheWeight(nn.Module):
    """An MLP that multiplies by its map's weight and never calls the map."""

    def __init__(self, mlp: Any) -> None:
        super().__init__()
        self.up_proj, self.down_proj = mlp.up_proj, mlp.down_proj

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return linear(self.up_proj(x).tanh(), self.down_proj.weight)


def test_a_map_that_is_read_past_its_forward_is_refused() -> None:
    model, site = random_model("mistral", torch.float32), Site(1, "mlp.down_proj")
    with attach(model, made(model, site), 1.0):
        logits(model)
    model = random_model("mistral", torch.float32)
    blocks_of(model)[1].mlp = ReadsTheWeight(blocks_of(model)[1].mlp)
    with pytest.raises(
        ConfigError, match=r"1.mlp.down_proj of this MistralForCausalLM cannot be steered exactly: on 8"
    ):
        attach(model, made(model, site), 1.0).__enter__()
    with attach(model, made(model, Site(1, "mlp.up_proj")), 1.0):
        logits(model)


def test_each_map_of_a_model_is_tried_once_and_its_weights_are_never_written_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, site = random_model("gpt2", torch.float32), Site(1, "mlp.down_proj")
    before = {name: (id(value), value._version, value.clone()) for name, value in model.named_parameters()}
    model.train()
    calls: list[int] = []
    model.register_forward_pre_hook(lambda module, args: calls.append(1))
    with attach(model, made(model, site), 1.0):
        tried = len(calls)
    with attach(model, made(model, site, "lora"), 2.0):
        pass
    assert 0 < tried == len(calls)
    assert model.training
    for name, value in model.named_parameters():
        assert (id(value), value._version) == before[name][:2]
        assert torch.equal(value, before[name][2])


def test_a_registered_family_is_taken_as_it_is() -> None:
    model = tiny_model("llama", torch.float32)
    calls: list[int] = []
    model.register_forward_pre_hook(lambda module, args: calls.append(1))
    assert require_exact(model, made(model, Site(1, "mlp.down_proj"))) == NO_LIMITS
    assert calls == []
    assert map_error(model, Site(1, "mlp.down_proj")) < 1e-3  # type: ignore[operator]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["gpt2", "qwen2_moe", "olmo2"])
def test_rounding_is_not_taken_for_an_error(name: str, dtype: torch.dtype) -> None:
    model = random_model(name, dtype)
    for path in ("attn.o_proj", "attn.q_proj", "mlp.down_proj", "mlp.shared_expert.down_proj", "attn.c_attn"):
        try:
            find_linear(model, Site(1, path))
        except ConfigError:
            continue
        require_exact(model, made(model, Site(1, path)))
    assert limits_of(model) == NO_LIMITS


def test_a_model_that_is_wrong_under_left_padding_is_refused_there_alone() -> None:
    model = random_model("recurrent_gemma", torch.float32)
    assert padding_error(model) > 0.1  # type: ignore[operator]
    assert cache_error(model) < 1e-3  # type: ignore[operator]
    mask = torch.ones_like(IDS)
    vector = made(model, Site(1, "residual"), "vector")
    with attach(model, vector, 1.0):
        logits(model, attention_mask=mask)
        mask[0, :2] = 0
        with pytest.raises(
            ConfigError, match=r"padded on the left differ .* by 0\.\d+ of the spread .*one row at a time"
        ):
            logits(model, attention_mask=mask)


def test_rows_of_a_fused_map_are_steered_and_the_others_keep_their_bits() -> None:
    model, site = random_model("phi3", torch.float64), Site(1, "mlp.gate_up_proj[0:48]")
    intervention, fused = made(model, site), find_linear(model, site)
    outputs: list[torch.Tensor] = []
    bare = logits(model)
    with attach(model, intervention, 1.5):
        handle = fused.register_forward_hook(lambda module, args, output: outputs.append(output))
        hooked = logits(model)
    handle.remove()
    handle = fused.register_forward_hook(lambda module, args, output: outputs.append(output))
    logits(model)
    handle.remove()
    assert torch.equal(outputs[0][..., 48:], outputs[1][..., 48:])
    dW, db = intervention[site].weight_delta(), intervention[site].bias_delta()
    fused.weight.data[:48] += 1.5 * dW
    fused.bias = nn.Parameter(torch.cat([1.5 * db.double(), torch.zeros(48)]))  # type: ignore[union-attr]
    torch.testing.assert_close(hooked, logits(model), atol=1e-6, rtol=0)
    assert not torch.allclose(hooked, bare, atol=1e-3)


@pytest.mark.parametrize(("name", "same"), [("mistral", True), ("olmo2", False), ("granite", False), ("gpt2", True)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_whether_site_and_block_output_are_one_is_measured(name: str, same: bool, dtype: torch.dtype) -> None:
    assert is_block_output(random_model(name, dtype), Site(1, "mlp.down_proj")) == same


def test_control_the_check_sees_a_hook_that_does_not_act(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model("mistral", torch.float32)
    monkeypatch.setattr(self_check, "hooked", lambda model, attachment: attachment_of_nothing())
    assert map_error(model, Site(1, "mlp.down_proj")) == pytest.approx(1.0)
    assert map_error(model, Site(1, "residual")) == float("inf")


def attachment_of_nothing() -> Any:
    from contextlib import nullcontext

    return nullcontext()
