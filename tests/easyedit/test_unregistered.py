"""A family that the package does not register is tried while it is attached, inside the host too."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, Qwen3Config

from .. import toy_tokenizers
from .flows import applier, bare_model, logits, prompt_ids, train_in_host
from .hosts import ROWS, HostUnderTest


def test_qwen3_is_trained_and_steered(host: HostUnderTest, tmp_path: Path) -> None:
    tokenizer, folder = toy_tokenizers.qwen3(), tmp_path / "qwen3-tiny"
    ids = {key: getattr(tokenizer, key) for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "head_dim": 8}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    config = Qwen3Config(vocab_size=len(tokenizer), **heads, **sizes, **ids)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    vectors = train_in_host(host, tmp_path, folder, ROWS[:2], n_epochs=1)
    values = {"SPLIT": {"layers": [1, 2], "multipliers": [4.0, 4.0]}}
    wrapper = applier(host, tmp_path, folder, values, vectors={"SPLIT": vectors}).model
    prompt = prompt_ids(tokenizer)
    bare = logits(bare_model(folder)[0], prompt)
    assert not torch.equal(logits(wrapper.model, prompt), bare)
    wrapper.reset_all()
    assert torch.equal(logits(wrapper.model, prompt), bare)
