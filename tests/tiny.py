"""Tiny random models of the real families, with every parameter non-zero, norms and biases included.

Their attention is `exact`: eager attention whose softmax stays in the model's dtype. Transformers' own eager attention
takes softmax in fp32, where float64's mask value overflows to -inf and a left-padded row becomes NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    AutoConfig,
    AutoModelForCausalLM,
    PretrainedConfig,
)
from transformers.masking_utils import eager_mask

FAMILIES = ("llama", "qwen2", "gemma2")
"""Those whose arithmetic some tests write out by hand; the contracts run over every registered family."""
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
_OWN: dict[str, dict[str, Any]] = {
    "gemma2": {
        "head_dim": 8,
        "query_pre_attn_scalar": 8,
        "sliding_window": 6,
        "attn_logit_softcapping": 5.0,
        "final_logit_softcapping": 8.0,
    }
}


def tiny_config(model_type: str, vocab_size: int = 97) -> PretrainedConfig:
    """A small configuration of any model type that transformers knows."""
    shape = {**_SHAPE, "vocab_size": vocab_size, **_OWN.get(model_type, {"tie_word_embeddings": False})}
    return AutoConfig.for_model(model_type, **shape)


def _exact_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    softcap: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    key, value = (x.repeat_interleave(query.shape[1] // x.shape[1], 1) for x in (key, value))
    scores = query @ key.transpose(2, 3) * scaling
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if attention_mask is not None:
        scores = scores + attention_mask[..., : key.shape[2]].clamp(min=-1e38).to(scores.dtype)
    return (scores.softmax(-1) @ value).transpose(1, 2).contiguous(), None


def _finite_mask(*args: Any, **kwargs: Any) -> Tensor:
    mask: Tensor = eager_mask(*args, **{**kwargs, "dtype": torch.float32})
    return mask


AttentionInterface.register("exact", _exact_attention)
AttentionMaskInterface.register("exact", _finite_mask)


def exact_norms(model: Any) -> None:
    """Let a model's norms compute in its own dtype; transformers rounds them to fp32 inside a float64 model."""
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = _exact_norm(module)


def _exact_norm(module: Any) -> Callable[[Tensor], Tensor]:
    shift = 1.0 if "Gemma" in type(module).__name__ else 0.0
    eps = module.eps if hasattr(module, "eps") else module.variance_epsilon

    def forward(x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * (shift + module.weight)

    return forward


def tiny_model(family: str, dtype: torch.dtype = torch.float64, *, vocab_size: int = 97, seed: int = 0) -> Any:
    """A random causal LM of a family, in evaluation mode, the same for the same seed."""
    model = AutoModelForCausalLM.from_config(tiny_config(family, vocab_size), attn_implementation="exact")
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.25)
    return model.to(dtype).eval()
