"""Loading: dtype, attention and errors in one sentence; a checkpoint with holes is never filled with noise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from transformers import AutoModelForCausalLM

from easyedit_split.model.describe import describe, name_of
from easyedit_split.model.hooks import activations, frozen, full_precision_head
from easyedit_split.model.load import load_model, model_path
from easyedit_split.model.load_options import DTYPES, parse_dtype
from easyedit_split.model.sites import Site
from easyedit_split.types import ConfigError

from ..tiny import FAMILIES, tiny_model
from ..toy_tokenizers import gemma, qwen

IDS = torch.tensor([[5, 6, 7, 8]])


def saved(folder: Path, family: str = "qwen2", dtype: torch.dtype = torch.float32) -> Path:
    tokenizer = gemma() if family == "gemma2" else qwen()
    model = tiny_model(family, dtype, vocab_size=len(tokenizer))
    model.config._attn_implementation = "eager"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        out: torch.Tensor = model(IDS).logits
    return out


# --- loading -------------------------------------------------------------------------------------------------------


def test_a_folder_is_loaded_in_its_own_dtype_and_evaluation_mode(tmp_path: Path) -> None:
    model, tokenizer = load_model(str(saved(tmp_path / "m", dtype=torch.bfloat16)), device="cpu")
    assert next(model.parameters()).dtype == torch.bfloat16
    assert not model.training
    assert tokenizer("Yes")["input_ids"] == qwen()("Yes")["input_ids"]
    exact = tiny_model("qwen2", torch.bfloat16, vocab_size=len(qwen())).state_dict()
    assert all(torch.equal(value, exact[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("dtype", ["float64", torch.float64])
def test_another_dtype_is_asked_for_by_name_or_value(dtype: Any, tmp_path: Path) -> None:
    model, _ = load_model(str(saved(tmp_path / "m")), dtype=dtype, device="cpu")
    assert next(model.parameters()).dtype == torch.float64


def test_gemma2_is_loaded_with_its_soft_caps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(saved(tmp_path / "m", "gemma2"))
    asked_for: list[str | None] = []
    real = AutoModelForCausalLM.from_pretrained

    def spy(*args: Any, **settings: Any) -> Any:
        asked_for.append(settings["attn_implementation"])
        return real(*args, **settings)

    with monkeypatch.context() as patch:  # whatever this version of transformers would choose by itself
        patch.setattr(AutoModelForCausalLM, "from_pretrained", spy)
        model, _ = load_model(folder, device="cpu")
    assert asked_for == ["eager"]
    assert describe(model, folder)["attention"] == "eager"
    other, _ = load_model(str(saved(tmp_path / "q")), device="cpu")
    assert describe(other, folder)["attention"] != "eager"  # where every backend computes the model, the default stays
    asked, _ = load_model(str(tmp_path / "q"), device="cpu", attention="eager")
    assert describe(asked, folder)["attention"] == "eager"


def test_describe_is_plain_and_complete(tmp_path: Path) -> None:
    model, _ = load_model(str(saved(tmp_path / "m")), device="cpu", attention="eager")
    found = describe(model, "tiny", "main")
    assert json.loads(json.dumps(found)) == found == {
        "id": "tiny", "revision": "main", "model_type": "qwen2", "hidden_size": 32, "num_hidden_layers": 3,
        "dtype": "float32", "attention": "eager", "quantization": "none", "adapters": [],
    }  # fmt: skip
    assert describe(model, "tiny")["revision"] is None
    model.config._commit_hash = "abc1"  # as transformers notes it of the hub
    assert describe(model, "tiny", "main")["revision"] == "abc1"


def test_a_model_is_called_what_it_was_asked_for_by(tmp_path: Path) -> None:
    folder = str(saved(tmp_path / "m"))
    model, _ = load_model(folder, device="cpu")
    assert name_of(model) == "m", "records hold no folders"
    assert name_of(model, "mine") == "mine"
    testbed, _ = load_model("testbed:qwen2", device="cpu")
    assert name_of(testbed) == "testbed:qwen2"  # and not the folder that it is shipped in
    assert name_of(tiny_model("qwen2")) == ""


# --- what cannot be loaded -----------------------------------------------------------------------------------------


def refused(name: str, match: str, **settings: Any) -> None:
    with pytest.raises(ConfigError, match=match) as caught:
        load_model(name, **({"device": "cpu"} | settings))
    assert "\n" not in str(caught.value)


def test_what_is_not_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    refused(str(tmp_path / "nowhere"), "cannot be loaded .no such folder here, and not found on the hub")
    (tmp_path / "empty").mkdir()
    refused(str(tmp_path / "empty"), "empty' cannot be loaded:")
    refused("testbed:gpt5", r"'gpt5' is unknown; allowed: gemma2, qwen2")


def test_what_cannot_be_found_is_refused_before_weights_are_read(tmp_path: Path) -> None:
    folder = saved(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    lacks = r"'mlp.c_proj' in block 1, a Qwen2DecoderLayer.*allowed: residual, mlp.down_proj.*, self_attn.q_proj"
    refused(str(folder), lacks, sites=["1.mlp.c_proj"])
    refused(str(folder), "layer 7 does not exist", sites=["7.residual"])
    refused(str(folder), "no file named", sites=["1.mlp.down_proj"])  # and so all is there but the weights
    config = {"model_type": "xlm", "vocab_size": 97, "emb_dim": 32, "n_layers": 3, "n_heads": 4}
    (folder / "config.json").write_text(json.dumps(config))
    refused(str(folder), "the one outermost ModuleList of 3 modules .*, and it has 4 such lists")


def test_parameters_that_are_missing_are_not_made_up(tmp_path: Path) -> None:
    folder = saved(tmp_path / "m")
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.down_proj.weight"]
    safetensors.torch.save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    refused(str(folder), "lack 1 parameters, model.layers.1.mlp.down_proj.weight among them")


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_torn_file_is_refused(file: str, tmp_path: Path) -> None:
    folder = saved(tmp_path / "m")
    data = (folder / file).read_bytes()
    (folder / file).write_bytes(data[: len(data) // 2])
    refused(str(folder), "cannot be loaded")
    (folder / file).write_bytes(data)
    load_model(str(folder), device="cpu")


@pytest.mark.parametrize("family", ["qwen2", "gemma2"])
def test_a_folder_without_a_tokenizer_is_refused(family: str, tmp_path: Path) -> None:
    folder = saved(tmp_path / "m", family)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (folder / name).unlink()
    refused(str(folder), r"m' cannot be loaded: it has no tokenizer: put .*tokenizer.json")


def test_settings_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    folder = str(saved(tmp_path / "m"))
    refused(folder, r"unknown dtype 'float23' .did you mean 'float32'", dtype="float23")
    refused(folder, "cannot be loaded", device="abacus")
    refused(folder, "cannot be loaded", attention="inattention")
    assert [parse_dtype(name) for name in DTYPES] == list(DTYPES.values())


def test_names_are_given_to_transformers_as_they_are() -> None:
    assert model_path("google/gemma-2-9b-it") == "google/gemma-2-9b-it"
    assert Path(model_path("testbed:qwen2")).name == "qwen2"


# --- hooks that only look ------------------------------------------------------------------------------------------


def test_activations_are_read_and_nothing_changes() -> None:
    model = tiny_model("gemma2")
    bare = logits(model)
    with activations(model, [Site(0, "residual"), Site(1, "mlp.down_proj")]) as found:
        assert torch.equal(logits(model), bare)
        states = model(IDS, output_hidden_states=True).hidden_states
    assert torch.equal(found[Site(0, "residual")], states[1])
    assert found[Site(1, "mlp.down_proj")].shape == (1, 4, 32)
    assert not torch.equal(found[Site(1, "mlp.down_proj")], states[2])
    found.clear()
    logits(model)
    assert found == {}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_half_precision_models_logits_are_computed_in_fp32(family: str) -> None:
    half = tiny_model(family, torch.bfloat16)
    plain = logits(half)
    with full_precision_head(half):
        fuller = logits(half)
    assert fuller.dtype == torch.float32
    assert plain.dtype == torch.bfloat16
    hidden = half.model(IDS).last_hidden_state.double()
    by_hand = hidden @ half.lm_head.weight.double().T
    if family == "gemma2":
        by_hand = torch.tanh(by_hand / 8) * 8  # the final soft-cap, after the fp32 head
    torch.testing.assert_close(fuller.double(), by_hand, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(plain.double(), by_hand, rtol=1e-4, atol=1e-4)
    assert torch.equal(logits(half), plain)
    assert not half.lm_head._forward_hooks


def test_a_full_precision_model_is_left_alone() -> None:
    model = tiny_model("qwen2", torch.float32)
    with full_precision_head(model):
        assert not model.lm_head._forward_hooks


def test_frozen_restores_every_flag_also_after_an_exception() -> None:
    model = tiny_model("llama")
    model.train()
    model.model.layers[1].eval()
    model.lm_head.weight.requires_grad_(False)
    modes = [module.training for module in model.modules()]
    flags = [parameter.requires_grad for parameter in model.parameters()]
    with pytest.raises(ZeroDivisionError), frozen(model):
        assert not any(module.training for module in model.modules())
        assert not any(parameter.requires_grad for parameter in model.parameters())
        raise ZeroDivisionError
    assert [module.training for module in model.modules()] == modes
    assert [parameter.requires_grad for parameter in model.parameters()] == flags
    assert len(set(modes)) == len(set(flags)) == 2
