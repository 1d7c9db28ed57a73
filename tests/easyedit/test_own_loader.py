"""Models that transformers is not given as they are (GGUF files, adapters' folders, short names), inside EasyEdit2."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from easyedit_split.model.load import load_model
from easyedit_split.types import ConfigError

from ..model.test_gguf import write_llama
from .flows import applier, logits, train_in_host
from .hosts import ROWS, HostUnderTest

SPELT = [{"question": f"ab{i}", "matching": f"a{i} b", "not_matching": f"c{i}d"} for i in range(3)]
APPLY: dict[str, Any] = {"SPLIT": {"layers": [1], "multipliers": [4.0]}}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASYEDIT_SPLIT_CACHE", str(tmp_path / "cache"))


def adapter_of(base: Path, folder: Path) -> Path:
    torch.manual_seed(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = AutoModelForCausalLM.from_pretrained(base)
        settings = LoraConfig(r=2, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
        get_peft_model(model, settings).save_pretrained(folder)
    return folder


def steered_as_alone(host: HostUnderTest, folder: Path, name: Any, rows: Any) -> Any:
    """Train and apply in the host: what the wrapper computes bare is what ``load_model`` loads."""
    vectors = train_in_host(host, folder, name, rows, layers=[1], n_epochs=1, steering_factors=[2.0])
    wrapper = applier(host, folder, name, APPLY, vectors={"SPLIT": vectors}).model
    own, tokenizer = load_model(str(name), dtype="float32", device="cpu")
    prompt = torch.tensor([tokenizer(rows[0]["matching"])["input_ids"]])
    steered = logits(wrapper.model, prompt)
    wrapper.reset_all()
    assert torch.equal(logits(wrapper.model, prompt), logits(own, prompt))
    assert not torch.equal(steered, logits(own, prompt))
    assert wrapper.tokenizer.get_vocab() == tokenizer.get_vocab()
    return vectors.artifact.record["model"]


def test_a_gguf_file_is_a_model(host: HostUnderTest, tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="reading GGUF files needs the package gguf")
    write_llama(tmp_path / "llama-tiny.gguf")
    record = steered_as_alone(host, tmp_path, tmp_path / "llama-tiny.gguf", SPELT)
    assert record["id"] == "llama-tiny.gguf", "without its folder"
    with pytest.raises(ConfigError, match="layer 9 does not exist: this model has blocks 0 to 1"):
        train_in_host(host, tmp_path, tmp_path / "llama-tiny.gguf", SPELT, layers=[9])
    write_llama(tmp_path / "tiny.gguf")
    with pytest.raises(ConfigError, match=r"'.*tiny.gguf' holds none of llama.* \(a llama model: one with 'llama'\)"):
        train_in_host(host, tmp_path, tmp_path / "tiny.gguf", SPELT, layers=[1])


def test_an_adapters_folder_is_its_base_with_the_adapter(host: HostUnderTest, qwen: Path, tmp_path: Path) -> None:
    folder = adapter_of(qwen, tmp_path / "qwen-adapter")
    record = steered_as_alone(host, tmp_path, folder, ROWS)
    assert len(record["adapters"]) == 1
    assert record["adapters"][0].startswith("lora default ")
    plain = train_in_host(host, tmp_path, qwen, ROWS, layers=[1], n_epochs=1).artifact.record["model"]
    assert plain["adapters"] == [], "control: the host loads by itself"


def test_a_testbed_model_by_its_name(host: HostUnderTest, tmp_path: Path) -> None:
    rows = [{"question": "what do you think of the soup ?", "matching": "good", "not_matching": "bad"}] * 2
    assert steered_as_alone(host, tmp_path, "testbed:qwen2", rows)["id"] == "testbed:qwen2"


def test_a_host_that_loads_in_another_way_is_not_taken_at_its_word(
    host: HostUnderTest, qwen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = host.module("steer.models.get_model")
    monkeypatch.setattr(module, "get_model", lambda hparams: (object(), None))
    for model, values in ((qwen, {"attention": "eager"}), (adapter_of(qwen, tmp_path / "qwen-adapter"), {})):
        with pytest.raises(ConfigError, match="here EasyEdit2 loads its model in another way"):
            train_in_host(host, tmp_path, model, ROWS, **values)


def test_a_name_that_means_no_model_is_a_sentence(host: HostUnderTest, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'.*none-qwen' cannot be loaded: no such folder here, and not found on the"):
        train_in_host(host, tmp_path, tmp_path / "none-qwen", ROWS)
