"""One call of the model's own decoder over packed rows, with blocks below or above left out."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import Cache

from .anatomy import Anatomy
from .launch import Inputs
from .masks import Masks


def arguments_of(
    anatomy: Anatomy,
    inputs: Inputs,
    hidden: Float[Tensor, "b n d"] | None,
    tokens: Int[Tensor, "r n"] | None,
    kept: Cache | None,
) -> dict[str, Any]:
    """What the decoder is called with.

    Args:
        anatomy: of the model.
        inputs: of the launch.
        hidden: what enters, for its shape; None where the model runs from its embeddings.
        tokens: ids in that case.
        kept: keys of constant tokens.
    """
    masks = anatomy.masks.masks(inputs.sees, inputs.depth, inputs.key_depth, anatomy.dtype)
    repeats = inputs.repeats
    arguments: dict[str, Any] = {
        "attention_mask": _repeated(masks, repeats),
        "position_ids": inputs.depth.repeat(repeats, 1),
        "past_key_values": kept,
        "use_cache": False,
    }
    if hidden is not None:
        return {"inputs_embeds": hidden.detach(), **arguments}
    assert tokens is not None
    return {"input_ids": tokens.repeat(repeats, 1), **arguments}


def _repeated(masks: Masks, repeats: int) -> Masks:
    if repeats == 1:
        return masks
    if isinstance(masks, dict):
        return {name: _repeat(mask, repeats) for name, mask in masks.items()}
    return _repeat(masks, repeats)


def _repeat(mask: Tensor, repeats: int) -> Tensor:
    """Without a copy where all rows share one mask."""
    return mask.expand(repeats, -1, -1, -1) if len(mask) == 1 else mask.repeat(repeats, 1, 1, 1)


def tokens_of(token: Tensor, inputs: Inputs) -> Tensor:
    """Ids ``[r n]`` of a launch's tokens, from those of the trie's nodes."""
    return token[inputs.node.to(token.device)].to(inputs.node.device)


__all__ = ["arguments_of", "tokens_of", "torch"]
