"""EasyEdit2's wrappers are taken off while we train, and put back; where one steers, all stay."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from easyedit_split.easyedit.host.wrappers import WRAPPERS, install, taken_off

from ..tiny import tiny_model


class MLPWrapper(nn.Module):
    def __init__(self, mlp: nn.Module) -> None:
        super().__init__()
        self.mlp = mlp


class BlockOutputWrapper(nn.Module):
    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block
        self.intervention_dict: dict[str, Any] = {}
        self.add_activations_dict: dict[str, Any] = {}


def wrapped() -> Any:
    install()
    model = tiny_model("llama")
    for i, block in enumerate(model.model.layers):
        block.mlp = MLPWrapper(block.mlp)
        model.model.layers[i] = BlockOutputWrapper(block)
    return model


def test_idle_wrappers_are_taken_off_and_put_back_also_after_an_error() -> None:
    model, bare = wrapped(), tiny_model("llama")
    before = dict(model.named_modules())
    with taken_off(model):
        assert list(dict(model.named_modules())) == list(dict(bare.named_modules()))
    with pytest.raises(ZeroDivisionError), taken_off(model):
        raise ZeroDivisionError
    after = dict(model.named_modules())
    assert list(after) == list(before)
    assert all(after[name] is module for name, module in before.items())
    assert {type(module).__name__ for module in before.values()} & set(WRAPPERS)


@pytest.mark.parametrize("name", ["intervention_dict", "add_activations_dict"])
def test_control_where_one_steers_all_stay(name: str) -> None:
    model = wrapped()
    getattr(model.model.layers[1], name)["caa"] = 1.0
    before = dict(model.named_modules())
    with taken_off(model):
        assert list(dict(model.named_modules())) == list(before)
