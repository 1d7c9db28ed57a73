"""Options of loading: adapters as base, revisions, foreign code, quantisation, offloaded weights, and their record."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from peft import IA3Config, LoraConfig, PromptTuningConfig, get_peft_model

from easyedit_split.model.describe import describe
from easyedit_split.model.linear_map import linear_map
from easyedit_split.model.load import load_model
from easyedit_split.model.load_options import QUANTIZATIONS
from easyedit_split.model.sites import Site
from easyedit_split.steering.artifact import Artifact
from easyedit_split.steering.attach import attach
from easyedit_split.types import ConfigError

from ..small import made, world
from ..toy_tokenizers import qwen

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
IDS = torch.tensor([[11, 5, 7, 20]])


def adapter(folder: Path, to: Path, config: Any = None, seed: int = 0) -> tuple[Path, Any]:
    """An adapter of the model in ``folder``, with random values, and PEFT's own model with it."""
    model, _ = load_model(str(folder), device="cpu")
    config = config or LoraConfig(r=2, target_modules=["down_proj"], task_type="CAUSAL_LM")
    wrapped = get_peft_model(model, config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if "lora" in name or "ia3" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    wrapped.save_pretrained(str(to))
    return to, wrapped.eval()


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(IDS).logits
    return found


def refused(name: str | Path, match: str, **settings: Any) -> None:
    with pytest.raises(ConfigError, match=match) as caught:
        load_model(str(name), **({"device": "cpu"} | settings))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 420


# --- adapters ------------------------------------------------------------------------------------------------------


def test_an_adapter_folder_is_its_base_with_the_adapter(folder: Path, tmp_path: Path) -> None:
    place, own = adapter(folder, tmp_path / "adapter")
    model, tokenizer = load_model(str(place), device="cpu")
    bare, _ = load_model(str(folder), device="cpu")
    assert torch.equal(logits(model), logits(own))
    assert not torch.allclose(logits(model), logits(bare), atol=1e-2), "control"
    assert tokenizer("Yes")["input_ids"] == qwen()("Yes")["input_ids"]
    assert describe(model, "m")["adapters"] == describe(own, "m")["adapters"]
    (kind,) = describe(model, "m")["adapters"]
    assert kind.startswith("lora default ")
    assert describe(bare, "m")["adapters"] == []


def test_an_adapter_is_recorded_by_what_it_holds_and_whether_it_acts(folder: Path, tmp_path: Path) -> None:
    _, first = adapter(folder, tmp_path / "a")
    _, second = adapter(folder, tmp_path / "b", seed=1)
    assert describe(first, "m")["adapters"] != describe(second, "m")["adapters"]
    with first.disable_adapter():
        assert describe(first, "m")["adapters"] == []
    assert describe(first, "m")["adapters"] != []
    _, third = adapter(folder, tmp_path / "c", IA3Config(target_modules=["down_proj"], feedforward_modules=[]))
    assert describe(third, "m")["adapters"][0].startswith("ia3 default ")


def test_a_difference_in_adapters_and_quantisation_is_noted_by_name(folder: Path, tmp_path: Path) -> None:
    _, adapted = adapter(folder, tmp_path / "a")
    bare, _ = load_model(str(folder), device="cpu")
    artifact = Artifact({"default": made(world())}, {"model": describe(adapted, str(folder))})
    assert artifact.check_model(adapted) == ()
    (note,) = artifact.check_model(bare)
    assert note == f"adapters was {describe(adapted, '')['adapters'][0]}, is none"
    known = {**describe(bare, str(folder)), "quantization": "bitsandbytes load_in_4bit=True"}
    (note,) = Artifact({"default": made(world())}, {"model": known}).check_model(bare)
    assert note == "quantization was bitsandbytes load_in_4bit=True, is none"
    older = {key: value for key, value in known.items() if key not in ("quantization", "adapters")}
    assert Artifact({"default": made(world())}, {"model": older}).check_model(adapted) == ()  # not known, no difference


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_model_with_an_adapter_is_steered_as_one_with_it_merged(folder: Path, tmp_path: Path, wrapped: bool) -> None:
    place, own = adapter(folder, tmp_path / "a")
    model = own if wrapped else load_model(str(place), device="cpu")[0]
    merged = load_model(str(place), device="cpu")[0]
    for module in merged.modules():
        if hasattr(module, "merge") and hasattr(module, "lora_A"):
            module.merge()
    here = world(dtype=torch.float32)
    for form, site in (("vector", "residual"), ("lora", "mlp.down_proj")):
        intervention = made(here, form, site=site, skip_prefix=False).float()
        found = []
        for network in (model, merged):
            with attach(network, intervention, 0.5, check=True):
                found.append(logits(network))
        torch.testing.assert_close(*found, rtol=1e-4, atol=1e-4)
        assert not torch.allclose(found[0], logits(model), atol=1e-2), "control"
    with pytest.raises(ConfigError, match="one with an adapter: merge it"):
        _ = linear_map(model, Site(1, "mlp.down_proj")).weight
    assert linear_map(model, Site(1, "mlp.up_proj")).weight.shape == (48, 32), "control"


def test_an_adapter_that_does_not_fit_is_refused(folder: Path, tmp_path: Path) -> None:
    place, _ = adapter(folder, tmp_path / "a")
    file = place / "adapter_model.safetensors"
    tensors = safetensors.torch.load_file(file)
    first = sorted(tensors)[0]
    safetensors.torch.save_file({key: value for key, value in tensors.items() if key != first}, file)
    refused(place, r"does not fit its base model: 1 tensors, .*down_proj.lora_A.weight .the file lacks it")
    safetensors.torch.save_file({**tensors, first.replace("layers.0", "layers.9"): tensors[first].clone()}, file)
    refused(place, r"does not fit its base model: 1 tensors, .*layers.9.* .the model has no place for it")
    safetensors.torch.save_file({**tensors, first: tensors[first][:, :5].contiguous()}, file)
    refused(place, "cannot be loaded: .*size mismatch")
    config = json.loads((place / "adapter_config.json").read_text())
    for change, match in (
        ({"base_model_name_or_path": None}, "names no base_model_name_or_path"),
        ({"base_model_name_or_path": str(tmp_path / "gone")}, "cannot be loaded"),
        ({"peft_type": "PREFIX_TUNING"}, "PREFIX_TUNING adds tokens of its own"),
    ):
        (place / "adapter_config.json").write_text(json.dumps({**config, **change}))
        refused(place, match)
    (place / "adapter_config.json").write_text("[")
    refused(place, "not a readable adapter configuration")


def test_a_model_with_tokens_for_an_adapter_is_not_steered(folder: Path) -> None:
    model, _ = load_model(str(folder), device="cpu")
    tuned = get_peft_model(model, PromptTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM"))
    with pytest.raises(ConfigError, match="'default': an adapter of kind PROMPT_TUNING adds tokens"):
        attach(tuned, made(world()), 1.0).__enter__()


# --- what an option cannot do --------------------------------------------------------------------------------------


def test_options_without_use_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(folder, "only a model on the hub has revisions, and this one is a folder", revision="main")
    refused("testbed:qwen2", "only a model on the hub has revisions", revision="main")
    refused(folder, "give it with device auto", offload_folder="kept")
    refused(folder, "device meta holds no weights", device="meta")
    refused(folder, r"unknown quantize 'bnb-5bit' .did you mean 'bnb-8bit'", quantize="bnb-5bit")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for name, way in QUANTIZATIONS.items():
        refused(folder, f"quantize {name} needs the package {way.package}: pip install {way.package}", quantize=name)


@pytest.mark.parametrize("place", ["config", "tokenizer"])
def test_code_of_a_repository_is_not_run_and_nobody_is_asked(
    place: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, mark = Path(shutil.copytree(folder, tmp_path / "m")), tmp_path / "ran"
    code = f"open({str(mark)!r}, 'w').close()\nfrom transformers import Qwen2Config\nclass Own(Qwen2Config): pass\n"
    code += "from transformers import PreTrainedTokenizerFast\nclass Words(PreTrainedTokenizerFast): pass\n"
    (there / "own.py").write_text(code)
    file = there / ("config.json" if place == "config" else "tokenizer_config.json")
    auto = {"AutoConfig": "own.Own"} if place == "config" else {"AutoTokenizer": [None, "own.Words"]}
    kind = {"model_type": "own"} if place == "config" else {"tokenizer_class": "Words"}
    file.write_text(json.dumps({**json.loads(file.read_text()), **kind, "auto_map": auto}))
    asked: list[str] = []
    monkeypatch.setattr("builtins.input", lambda *words: asked.append("y") or "y")
    if place == "config":
        refused(there, "brings Python code of its own, which is not run: .*--trust-remote-code")
    else:
        load_model(str(there), device="cpu")  # from tokenizer.json, without the code
    assert asked == []
    assert not mark.exists()
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    try:
        load_model(str(there), device="cpu", trust_remote_code=True)
    except ConfigError:
        assert place == "config"  # a configuration of a new kind has no model here
    assert mark.exists(), "control"


def test_weights_in_a_pickle_are_not_run(folder: Path, tmp_path: Path) -> None:
    there, mark = Path(shutil.copytree(folder, tmp_path / "m")), tmp_path / "ran"

    class Hostile:
        def __reduce__(self) -> Any:
            return (open, (str(mark), "w"))

    (there / "model.safetensors").unlink()
    torch.save({"model.norm.weight": Hostile()}, there / "pytorch_model.bin")
    refused(there, "a pickle that holds more than tensors, which is not run: convert them to safetensors")
    assert not mark.exists()


# --- quantised -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", QUANTIZATIONS)
@pytest.mark.filterwarnings("ignore")
def test_a_quantised_model_is_steered_and_known_by_it(name: str, folder: Path) -> None:
    pytest.importorskip(QUANTIZATIONS[name].package)
    plain, _ = load_model(str(folder), device="cpu")
    model, _ = load_model(str(folder), device="cpu", quantize=name)
    near = (logits(model) - logits(plain)).norm() / logits(plain).norm()
    assert 1e-4 < near < 0.5
    found = describe(model, "m")["quantization"]
    assert found.split()[0] == QUANTIZATIONS[name].package.lower()
    assert describe(plain, "m")["quantization"] == "none"
    here = world(dtype=torch.float32)
    lora = made(here, "lora", site="mlp.down_proj", skip_prefix=False).float()
    seen: list[torch.Tensor] = []
    handle = model.model.layers[1].mlp.down_proj.register_forward_hook(lambda m, a, y: seen.append(a[0]))
    bare = logits(model)
    handle.remove()
    with attach(model, lora, 0.5, check=True):
        steered = logits(model)
    delta = lora["1.mlp.down_proj"].weight_delta()
    assert delta is not None
    assert not torch.allclose(steered, bare)
    own = model.model.layers[1].mlp.down_proj.forward

    def edited(x: torch.Tensor) -> torch.Tensor:
        return own(x) + 0.5 * x @ delta.detach().to(x).T

    model.model.layers[1].mlp.down_proj.forward = edited
    torch.testing.assert_close(steered, logits(model), rtol=1e-4, atol=1e-4)
    with pytest.raises(ConfigError, match="load the model unquantised"):
        _ = linear_map(model, Site(1, "mlp.down_proj")).weight


@pytest.mark.filterwarnings("ignore")
def test_a_quantised_checkpoint_is_not_quantised_again(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    model, tokenizer = load_model(str(folder), device="cpu", quantize="bnb-4bit")
    model.save_pretrained(tmp_path / "q")
    tokenizer.save_pretrained(tmp_path / "q")
    refused(tmp_path / "q", "this checkpoint is quantised already", quantize="bnb-8bit")
    again, _ = load_model(str(tmp_path / "q"), device="cpu")
    assert torch.equal(logits(again), logits(model))
    assert describe(again, "m")["quantization"] == describe(model, "m")["quantization"]
