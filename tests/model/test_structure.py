"""Blocks and maps of any model, found by structure, and what is refused because it cannot be found."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from easyedit_split.model.linear_map import linear_map
from easyedit_split.model.maps import map_widths, maps_in, matrix_of
from easyedit_split.model.sites import (
    Site,
    block_list,
    blocks_of,
    called_modules,
    check_site,
    decoder_of,
    find_linear,
    short_names,
    widths,
)
from easyedit_split.types import ConfigError

from ..tiny import tiny_model
from ..zoo.exact import random_model


def test_a_tower_for_images_of_the_same_depth_is_not_taken_for_the_text() -> None:
    model = random_model("gemma3", torch.float32)
    assert model.config.vision_config.num_hidden_layers == len(blocks_of(model)) == 3
    assert [type(block).__name__ for block in blocks_of(model)] == ["Gemma3DecoderLayer"] * 3
    assert decoder_of(model) is model.model.language_model
    assert called_modules(model) == [model, model.model, model.model.language_model]


def test_the_decoder_is_where_the_blocks_are_however_deep() -> None:
    model = random_model("opt", torch.float32)
    assert block_list(model) is model.model.decoder.layers
    assert decoder_of(model) is model.model.decoder


def test_lists_that_cannot_be_told_apart_are_refused() -> None:
    model = random_model("mistral", torch.float32)
    model.model.more = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
    with pytest.raises(ConfigError, match=r"it has 2 such lists: model.layers, model.more; a family can name them"):
        blocks_of(model)
    with pytest.raises(ConfigError, match="no configuration that says how many layers"):
        blocks_of(nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("name", "down", "out"),
    [
        ("gpt2", "mlp.c_proj", "attn.c_proj"),
        ("gpt_neox", "mlp.dense_4h_to_h", "attention.dense"),
        ("opt", "fc2", "self_attn.out_proj"),
        ("phi", "mlp.fc2", "self_attn.dense"),
        ("lfm2", "feed_forward.w2", "self_attn.out_proj"),
        ("qwen3_moe", None, "self_attn.o_proj"),
    ],
)
def test_short_names_lead_to_what_an_architecture_calls_them(name: str, down: str | None, out: str) -> None:
    model = random_model(name, torch.float32)
    found = short_names(model, 1)
    assert (found.get("mlp.down_proj"), found["attn.o_proj"]) == (down, out)
    assert find_linear(model, Site(1, "attn.o_proj")) is find_linear(model, Site(1, out))
    if down is None:
        with pytest.raises(ConfigError, match=r"'mlp.down_proj' in block 1, a Qwen3MoeDecoderLayer.*attn.o_proj"):
            check_site(model, Site(1, "mlp.down_proj"))


def test_a_transposed_weight_is_read_as_a_matrix() -> None:
    model = random_model("gpt2", torch.float64)
    here, x = linear_map(model, Site(1, "mlp.up_proj")), torch.randn(2, 3, 32, dtype=torch.float64)
    assert (here.d_in, here.d_out) == (32, 128)
    torch.testing.assert_close(here.product(x), x @ here.weight.T)
    assert here.bias is not None


def test_rows_of_a_fused_map_are_a_map() -> None:
    model = random_model("phi3", torch.float64)
    whole, gate = linear_map(model, Site(0, "mlp.gate_up_proj")), linear_map(model, Site(0, "mlp.gate_up_proj[0:48]"))
    assert widths(model, Site(0, "mlp.gate_up_proj[48:96]"), "site") == (32, 48)
    x = torch.randn(2, 3, 32, dtype=torch.float64)
    assert torch.equal(gate.weight, whole.weight[:48])
    assert torch.equal(gate.product(x), whole.product(x)[..., :48])
    with pytest.raises(ConfigError, match="rows 48 to 97 of a map that has 96"):
        check_site(model, Site(0, "mlp.gate_up_proj[48:97]"))


def test_what_is_a_map() -> None:
    assert map_widths(nn.Linear(3, 2)) == (3, 2)
    assert map_widths(nn.Bilinear(3, 2, 2)) is None
    assert map_widths(nn.Conv1d(3, 2, 1)) is None
    assert map_widths(nn.LayerNorm(3)) is None
    assert matrix_of(nn.Linear(3, 2)).shape == (2, 3)  # type: ignore[union-attr]
    quantised: Any = nn.Linear(3, 2)
    quantised.weight = nn.Parameter(torch.zeros(6, 1, dtype=torch.uint8), requires_grad=False)
    assert map_widths(quantised) == (3, 2)
    assert matrix_of(quantised) is None


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_an_adapter_around_a_map_is_the_map() -> None:
    peft = pytest.importorskip("peft")
    model = peft.get_peft_model(tiny_model("llama"), peft.LoraConfig(target_modules=["down_proj"], r=2))
    assert "mlp.down_proj" in maps_in(blocks_of(model)[0])
    assert not any("lora" in path for path in maps_in(blocks_of(model)[0]))
    assert find_linear(model, Site(0, "mlp.down_proj")).lora_A is not None
