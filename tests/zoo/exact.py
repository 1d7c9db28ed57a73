"""Models of the zoo in float64 throughout: what transformers rounds to fp32 inside a model is kept in float64.

Norms, softmax and rotary tables are computed in fp32 whatever the model's dtype is, which would hide an error of 1e-9.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from .configs import IMAGES, tiny


class Float64Everywhere(TorchFunctionMode):
    """Every conversion to fp32 is one to float64 while inside."""

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.float:
            return args[0].double()
        settings = {key: _wide(value) for key, value in (kwargs or {}).items()}
        return func(*(_wide(value) for value in args), **settings)


def _wide(value: Any) -> Any:
    return torch.float64 if value is torch.float32 else value


def random_model(name: str, dtype: torch.dtype, vocab_size: int = 97) -> Any:
    """A model of the zoo with random parameters, none of them zero, in evaluation mode."""
    config = tiny(name, vocab_size)
    kind = AutoModelForImageTextToText if name in IMAGES else AutoModelForCausalLM
    model = kind.from_config(config, attn_implementation="eager", experts_implementation="eager")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.25)
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    return model.to(dtype).eval()
