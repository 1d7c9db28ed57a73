"""m is checked once, at the door; it may change between calls; a row whose own m is 0 keeps its bits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from easyedit_split.model.hooks import activations
from easyedit_split.model.sites import Site, find_linear
from easyedit_split.steering.attach import attach
from easyedit_split.types import ConfigError

from ..attached import logits, made
from ..tiny import FAMILIES, tiny_model

BAD = [
    (float("nan"), "m is nan, must be finite"),
    ((1.0, float("inf")), "m is inf, must be finite"),
    (torch.tensor([1.0, float("nan")]), "m holds a value that is not finite"),
    (torch.ones(1, 1, 1), "wanted one value per row"),
]


@pytest.mark.parametrize(("m", "words"), BAD)
def test_a_bad_m_is_refused_at_the_door_and_later(m: Any, words: str) -> None:
    model = tiny_model("llama")
    intervention = made(model, "lora")
    with pytest.raises(ConfigError, match=words), attach(model, intervention, m):
        pass
    with attach(model, intervention, 2.0) as attached:
        before = logits(model)
        with pytest.raises(ConfigError, match=words):
            attached.set_m(m)
        assert attached.m == (2.0, 2.0)
        assert torch.equal(logits(model), before)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_strength_set_between_calls_is_the_one_attached(family: str) -> None:
    model = tiny_model(family)
    intervention, bare = made(model, "local_weight"), logits(model)
    strengths = [2.0, 0.0, (0.5, -1.0), torch.tensor([0.0, 1.5]), -3.0]
    wanted = []
    for m in strengths:
        with attach(model, intervention, m):
            wanted.append(logits(model))
    with attach(model, intervention, 7.0) as attached:
        for m, expected in zip(strengths, wanted, strict=True):
            attached.set_m(m)
            assert torch.equal(logits(model), expected)
    assert torch.equal(wanted[1], bare)
    assert len({float(found.sum()) for found in wanted}) == len(wanted)


def test_nothing_steered_is_judged_by_the_calls_and_not_by_the_last_m() -> None:
    model = tiny_model("llama")
    ids = torch.tensor([[3, 4, 5]])
    skipping = made(model, "vector", skip_prefix=True, prefix_ids=(3, 4, 5))
    with pytest.raises(ConfigError, match="no token of any row was steered"), attach(model, skipping, 1.0) as attached:
        logits(model, ids)
        attached.set_m(0.0)
    with attach(model, skipping, 0.0) as attached:
        logits(model, ids)
        attached.set_m(1.0)  # and no call follows


def test_a_row_whose_own_m_is_0_keeps_its_bits_whatever_is_added() -> None:
    """-0.0 + 0.0 is 0.0, and 0 times an overflow is nan: such a row is left out, not added 0 to."""
    model = tiny_model("llama", torch.float32)
    intervention = made(model, "lora")
    site = Site(1, "mlp.down_proj")

    def negative_zero(module: nn.Module, args: Any, output: Tensor) -> Tensor:
        return torch.full_like(output, -0.0)

    handle = find_linear(model, site).register_forward_hook(negative_zero)
    for factors in ((torch.tensor([0.0, 1.0]),) * 2, (0.0, torch.tensor([0.0, 1.0]))):
        for change in (None, float("nan"), 0.0):
            added = None if change is None else lambda form, x, m, c=change: torch.full((*x.shape[:-1], 32), c)
            with attach(model, intervention, factors, delta=added), activations(model, [site]) as found:
                logits(model)
            assert bool(torch.signbit(found[site][0]).all())
            assert not bool((found[site][0] != 0).any())
            assert bool((torch.isnan(found[site][1]) | ~torch.signbit(found[site][1])).any())
    with attach(model, intervention, (1.0, torch.tensor([0.0, 0.0]))), activations(model, [site]) as found:
        logits(model)
    assert bool((found[site] != 0).any())  # m1 steers both rows here
    handle.remove()
