"""Walks through a model look through registered wrappers, and through nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from easyedit_split.model.hooks import activations
from easyedit_split.model.sites import Site, blocks_of, find_linear, widths
from easyedit_split.model.wrappers import register_wrapper, unwrap
from easyedit_split.steering.attach import attach
from easyedit_split.steering.intervention import Intervention
from easyedit_split.types import ConfigError

from ..tiny import FAMILIES, tiny_model


class Stranger(nn.Module):
    """What another library might put around a block and its MLP; nobody registers it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inside: nn.Module | None = inner

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        assert self.inside is not None
        return self.inside(*args, **kwargs)


class Registered(Stranger):
    """The same, registered."""


register_wrapper("Registered", "inside")
SITES = [Site(1, "residual"), Site(1, "mlp.down_proj"), Site(1, "attn.o_proj")]


def wrapped(family: str, kind: type[Stranger]) -> Any:
    model = tiny_model(family)
    for index, block in enumerate(list(model.model.layers)):
        block.mlp = kind(block.mlp)
        model.model.layers[index] = kind(block)
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_a_wrapped_model_is_seen_as_the_bare_one(family: str) -> None:
    bare, model = tiny_model(family), wrapped(family, Registered)
    assert [type(block) for block in blocks_of(model)] == [type(block) for block in blocks_of(bare)]
    for site in SITES[1:]:
        assert torch.equal(find_linear(model, site).weight, find_linear(bare, site).weight)
        assert widths(model, site, "site") == widths(bare, site, "site")


@pytest.mark.parametrize("family", FAMILIES)
def test_steering_and_activations_are_those_of_the_bare_model(family: str) -> None:
    ids = torch.tensor([[1, 5, 7, 9]])
    found = []
    for model in (tiny_model(family), wrapped(family, Registered)):
        intervention = Intervention.create(model, "local_weight", [1]).double()
        with torch.no_grad():
            for parameter in intervention.parameters():
                parameter.fill_(0.01)
            with attach(model, intervention, 2.0), activations(model, SITES) as states:
                found.append((model(ids).logits, dict(states)))
            assert not torch.equal(model(ids).logits, found[-1][0])
    (bare, bare_states), (there, there_states) = found
    assert torch.equal(bare, there)
    assert all(torch.equal(bare_states[site], there_states[site]) for site in SITES)


def test_a_wrapper_that_nobody_registered_is_not_looked_through() -> None:
    with pytest.raises(
        ConfigError, match=r"unknown site 'mlp.down_proj' in block 1, a Stranger .*inside.mlp.inside.down_proj"
    ):
        find_linear(wrapped("llama", Stranger), SITES[1])


def test_wrappers_in_wrappers_and_wrappers_without_their_module() -> None:
    inner = nn.Linear(2, 2)
    assert unwrap(Registered(Registered(inner))) is inner
    hollow = Registered(inner)
    hollow.inside = None
    assert unwrap(hollow) is hollow


def test_one_class_has_one_inner_module() -> None:
    register_wrapper("Registered", "inside")
    with pytest.raises(ConfigError, match="'Registered' is registered with the submodule 'inside'"):
        register_wrapper("Registered", "outside")
