"""Look through EasyEdit2's wrappers: every decoder block, its attention and its MLP stand inside one.

    model.layers.5.mlp.down_proj   is   model.layers.5.block.mlp.mlp.down_proj   in a wrapped model

They are told by what they hold, not by their class, so that nothing of the host is imported.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from torch import nn

from ...model.sites import family_of
from ...types import ConfigError

logger = logging.getLogger(__name__)

_INNER = {"BlockOutputWrapper": "block", "MLPWrapper": "mlp", "AttnWrapper": "attn", "Hack_no_grad": "module"}


def unwrap(module: nn.Module) -> nn.Module:
    """The module inside EasyEdit2's wrapper, or the module itself."""
    name = _INNER.get(type(module).__name__)
    inner = vars(module)["_modules"].get(name) if name is not None else None
    return inner if isinstance(inner, nn.Module) else module


def layers_of(wrapper: Any) -> Sequence[Any]:
    """The wrapped decoder blocks (``BlockOutputWrapper``) of an EasyEdit2 model, in order.

    Raises:
        ConfigError: the model holds none.
    """
    for module in wrapper.model.modules():
        if isinstance(module, nn.ModuleList) and len(module) and type(module[0]).__name__ == "BlockOutputWrapper":
            return list(module)
    raise ConfigError(f"{type(wrapper).__name__} holds no wrapped blocks: it was not loaded by EasyEdit2's get_model")


def use_defined_attention(model: Any) -> None:
    """Gemma-2 is defined with soft-capped attention, which some backends drop: take the one that computes it."""
    backend = family_of(model).attention
    if backend is not None and model.config._attn_implementation != backend:
        logger.warning("attention %s instead of %s: it drops the soft-cap", backend, model.config._attn_implementation)
        model.set_attn_implementation(backend)
