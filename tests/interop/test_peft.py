"""PEFT plays our adapters at any m, and we play PEFT's: to 1e-9 in float64, or refused by name."""

from __future__ import annotations

import copy
import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.helpers import rescale_adapter_scale
from safetensors.torch import load_file, save_file

from easyedit_split.interop.peft import _alpha
from easyedit_split.steering.attach import attach
from easyedit_split.types import ConfigError

from ..small import World
from .peers import M, artifact, back, exact_world, far, logits, out, peft_model, refused, steered

SITES = ("mlp.down_proj", "mlp.up_proj", "attn.q_proj")


@pytest.mark.parametrize("family", ["llama", "qwen2", "gemma2"])
@pytest.mark.parametrize("site", SITES)
def test_peft_plays_an_exported_lora_at_any_m(family: str, site: str, tmp_path: Path) -> None:
    here = exact_world(family)
    held = artifact(here, "lora", layers=(0, 2), site=site, form_config={"rank": 3, "alpha": 2.0, "apply_alpha": True})
    done = out(here, held, "peft", tmp_path / "adapter", m=1.0)
    assert done.notes == ()
    with peft_model(here, tmp_path / "adapter") as theirs:
        for m in (1.0, -2.5, 0.3):
            with rescale_adapter_scale(theirs, multiplier=m):
                assert far(logits(theirs), steered(here, held, m)) < 1e-9
                assert far(logits(theirs), steered(here, held, m + 0.1)) > 1e-4


def test_what_is_exported_at_m_is_that_m_as_loaded(tmp_path: Path) -> None:
    here = exact_world()
    held = artifact(here)
    out(here, held.with_m(M), "peft", tmp_path / "adapter", m=None)
    with peft_model(here, tmp_path / "adapter") as theirs:
        assert far(logits(theirs), steered(here, held, M)) < 1e-9
    stored = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert torch.equal(stored["base_model.model.model.layers.1.mlp.down_proj.lora_A.weight"], held.tensors()[A_NAME])


A_NAME = "default/1.mlp.down_proj.lora_A"


def test_it_comes_back_bit_for_bit(tmp_path: Path) -> None:
    here = exact_world()
    held = artifact(here, layers=(0, 2))
    out(here, held, "peft", tmp_path / "adapter")
    again = back(here, "peft", tmp_path / "adapter")
    assert again.chosen_m() == 1.0
    assert all(torch.equal(tensor, again.tensors()[name]) for name, tensor in held.tensors().items())
    assert far(steered(here, again, 1.0), steered(here, held, M)) < 1e-9
    assert again.config.placement == "site"


def test_a_local_weight_of_low_rank_is_a_lora_with_bias(tmp_path: Path) -> None:
    here = exact_world()
    held = artifact(here, "local_weight")
    with torch.no_grad():
        form: Any = held.only()["1.mlp.down_proj"]
        form.weight.copy_(form.weight[:, :2] @ form.weight[:2])
    done = out(here, held, "peft", tmp_path / "adapter", m=(1.5, 0.5), rank=2)
    said = " ".join(done.notes)
    assert "100.0000% of its energy" in said
    assert "lora_bias" in said
    assert "nats per token" in said
    with peft_model(here, tmp_path / "adapter") as theirs:
        assert far(logits(theirs), steered(here, held, (1.5, 0.5))) < 1e-6
        assert far(logits(theirs), steered(here, held, 1.5)) > 1e-3
    again = back(here, "peft", tmp_path / "adapter")
    assert again.config.form == "local_weight"
    assert far(steered(here, again, 1.0), steered(here, held, (1.5, 0.5))) < 1e-6


def test_what_a_rank_leaves_out_is_said(tmp_path: Path) -> None:
    here = exact_world()
    held = artifact(here, "local_weight")
    dW = held.only()["1.mlp.down_proj"].weight_delta()
    assert dW is not None
    values = torch.linalg.svdvals(dW.detach())
    done = out(here, held, "peft", tmp_path / "adapter", rank=5)
    assert f"{float(values[:5].square().sum() / values.square().sum()):.4%} of its energy" in done.notes[0]
    with refused(tmp_path / "other", "--rank", "for 90.0%", of=ConfigError):
        out(here, held, "peft", tmp_path / "other")
    with refused(tmp_path / "other", "rank 33", of=ConfigError):
        out(here, held, "peft", tmp_path / "other", rank=33)
    with refused(tmp_path / "other", "rank is for", of=ConfigError):
        out(here, artifact(here), "peft", tmp_path / "other", rank=5)


def test_what_a_lora_cannot_say_is_refused(tmp_path: Path) -> None:
    here, place = exact_world(), tmp_path / "adapter"
    with refused(place, "1.residual", "gguf-vector", of=ConfigError):
        out(here, artifact(here, "vector"), "peft", place)
    with refused(place, "no dW", of=ConfigError):
        out(here, artifact(here, "vector", site="mlp.down_proj"), "peft", place)
    with refused(place, "m1 is 0", of=ConfigError):
        out(here, artifact(here, "local_weight"), "peft", place, m=(0.0, 1.0), rank=2)
    gemma = exact_world("gemma2")
    with refused(place, "--placement site", "measured", of=ConfigError):
        out(gemma, artifact(gemma, placement="block_output"), "peft", place)
    assert "measured" in out(here, artifact(here, placement="block_output"), "peft", place).notes[0]


# --- PEFT's own adapters -------------------------------------------------------------------------------------------


def theirs_saved(here: World, folder: Path, seed: int = 3, **settings: Any) -> torch.Tensor:
    """An adapter that PEFT made and saved; returns its logits."""
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT warns of the shape of its own lora_bias
        model = get_peft_model(copy.deepcopy(here.model), LoraConfig(**{"lora_dropout": 0.2, **settings})).eval()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_" in name:
                    parameter.copy_(torch.randn(parameter.shape) * 0.3)
        found = logits(model)
        model.save_pretrained(folder)
    return found


@pytest.mark.parametrize(
    "settings",
    [
        {"r": 4, "lora_alpha": 6, "target_modules": ["down_proj"]},
        {"r": 4, "lora_alpha": 6, "target_modules": ["down_proj"], "use_rslora": True},
        {"r": 2, "target_modules": ["q_proj", "v_proj", "up_proj"], "layers_to_transform": [0, 2]},
        {"r": 4, "lora_alpha": 3, "target_modules": "all-linear"},
        {
            "r": 4,
            "target_modules": ["down_proj", "q_proj"],
            "rank_pattern": {"q_proj": 2},
            "alpha_pattern": {"q_proj": 5},
        },
        {"r": 4, "target_modules": ["down_proj"], "rank_pattern": {"layers.1.mlp.down_proj": 1}, "use_rslora": True},
        {"r": 4, "lora_alpha": 6, "target_modules": ["down_proj"], "lora_bias": True},
    ],
    ids=lambda settings: "-".join(settings),
)
def test_an_adapter_of_peft_is_played_as_there(settings: dict[str, Any], tmp_path: Path) -> None:
    here = exact_world()
    wanted = theirs_saved(here, tmp_path / "adapter", **settings)
    again = back(here, "peft", tmp_path / "adapter")
    assert far(steered(here, again, 1.0), wanted) < 1e-6
    assert far(steered(here, again, 1.1), wanted) > 1e-3


def test_in_float64_an_adapter_of_peft_is_played_to_the_last_digits(tmp_path: Path) -> None:
    """PEFT saves what it holds; written in float32 first, both read the same numbers."""
    here = exact_world()
    theirs_saved(here, tmp_path / "adapter", r=4, lora_alpha=6, target_modules=["down_proj"], use_rslora=True)
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    save_file({name: tensor.float() for name, tensor in load_file(file).items()}, file)
    again = back(here, "peft", tmp_path / "adapter")
    with peft_model(here, tmp_path / "adapter") as theirs:
        for m in (1.0, -2.0):
            with rescale_adapter_scale(theirs, multiplier=m):
                assert far(logits(theirs), steered(here, again, m)) < 1e-9


def test_modules_without_a_site_are_refused_by_name(tmp_path: Path) -> None:
    here = exact_world()
    wanted = theirs_saved(here, tmp_path / "adapter", r=2, target_modules=["down_proj", "lm_head"])
    with refused(tmp_path / "x", "lm_head", "--leave-out", of=ConfigError):
        back(here, "peft", tmp_path / "adapter")
    again = back(here, "peft", tmp_path / "adapter", leave_out=True)
    assert "lm_head" in again.record["imported"]["notes"][0]
    assert far(steered(here, again, 1.0), wanted) > 1e-3


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("use_dora", True),
        ("modules_to_save", ["lm_head"]),
        ("bias", "all"),
        ("init_lora_weights", "pissa"),
        ("peft_type", "IA3"),
        ("layer_replication", [[0, 2]]),
        ("a_key_of_tomorrow", 3),
    ],
)
def test_what_changes_more_than_a_lora_is_refused(key: str, value: Any, tmp_path: Path) -> None:
    here = exact_world()
    out(here, artifact(here), "peft", tmp_path / "adapter")
    file = tmp_path / "adapter" / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), key: value}), "utf-8")
    with refused(tmp_path / "x", key):
        back(here, "peft", tmp_path / "adapter")


def test_damaged_adapters_are_refused(tmp_path: Path) -> None:
    here = exact_world()
    out(here, artifact(here), "peft", tmp_path / "adapter")
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    held = load_file(file)
    name = next(name for name in held if "lora_B" in name)
    for wrong, words in (
        ({key: value for key, value in held.items() if key != name}, "only one of"),
        ({**held, name: held[name] * float("nan")}, "not finite"),
        ({**held, "base_model.model.lm_head.weight": held[name].clone()}, "lm_head.weight"),
        ({**held, name: held[name][:, :1].contiguous()}, "do not fit together"),
        ({}, "no tensors"),
    ):
        save_file(wrong, file)
        with refused(tmp_path / "x", words):
            back(here, "peft", tmp_path / "adapter")


def test_control_the_adapter_is_needed(tmp_path: Path) -> None:
    here = exact_world()
    held = artifact(here)
    out(here, held, "peft", tmp_path / "adapter")
    with attach(here.model, held.only(), 0.0):
        assert far(logits(here.model), steered(here, held, M)) > 1e-2
    assert issubclass(PeftModel, torch.nn.Module)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"lora_alpha": None}, "lora_alpha is None, wanted a number"),
        ({"lora_alpha": float("inf")}, "lora_alpha is inf, wanted a number"),
        ({"alpha_pattern": ["q_proj"]}, "wanted numbers by module names"),
        ({"alpha_pattern": {"q_proj": "x"}}, "wanted numbers by module names"),
        ({"alpha_pattern": {"(a+)+": 1}}, "repeats too much to be tried"),
        ({"alpha_pattern": {"a*a*a*a*a*b": 1}}, "repeats too much to be tried"),
        ({"alpha_pattern": {"(": 1}}, "is no regular expression"),
    ],
)
def test_scales_that_are_no_numbers_and_endless_patterns_are_refused(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        _alpha("model.layers.0.self_attn.q_proj", config)


def test_control_patterns_as_peft_reads_them() -> None:
    config = {"lora_alpha": 4, "alpha_pattern": {r".*\.0\..*q_proj": 5}}
    assert [_alpha(f"model.layers.{k}.self_attn.q_proj", config) for k in (0, 1)] == [5.0, 4.0]
