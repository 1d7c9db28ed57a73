"""Tiny random models of the real families, with every parameter non-zero, norms and biases included."""

from __future__ import annotations

from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    LlamaConfig,
    PretrainedConfig,
    Qwen2Config,
)

FAMILIES = ("llama", "qwen2", "gemma2")
POST_NORM = {"llama": False, "qwen2": False, "gemma2": True}
BLOCKS, D, D_MLP = 3, 32, 48

_SHAPE: dict[str, Any] = {
    "hidden_size": D,
    "intermediate_size": D_MLP,
    "num_hidden_layers": BLOCKS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def tiny_config(family: str, vocab_size: int = 97) -> PretrainedConfig:
    shape = {**_SHAPE, "vocab_size": vocab_size}
    if family == "gemma2":
        return Gemma2Config(
            **shape, head_dim=8, query_pre_attn_scalar=8, sliding_window=6, attn_logit_softcapping=5.0,
            final_logit_softcapping=8.0,
        )  # fmt: skip
    return {"llama": LlamaConfig, "qwen2": Qwen2Config}[family](**shape, tie_word_embeddings=False)


def tiny_model(family: str, dtype: torch.dtype = torch.float64, *, vocab_size: int = 97, seed: int = 0) -> Any:
    """A random causal LM of a family, in evaluation mode, the same for the same seed."""
    model = AutoModelForCausalLM.from_config(tiny_config(family, vocab_size), attn_implementation="eager")
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.25)
    return model.to(dtype).eval()
