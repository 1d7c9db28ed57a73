"""One call of the model's own decoder on packed rows, with some of its blocks skipped."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor
from transformers import Cache

from .anatomy import Anatomy
from .launch import Inputs
from .masks import Masks


def arguments_of(
    anatomy: Anatomy,
    inputs: Inputs,
    hidden: Float[Tensor, "b n d"] | None,
    kept: Cache | None,
) -> dict[str, Any]:
    """Keyword arguments of the decoder call.

    Args:
        anatomy: of the model.
        inputs: of the launch.
        hidden: what enters, for its shape; None where the model runs from its embeddings.
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
    return {"input_ids": inputs.token.repeat(repeats, 1), **arguments}


def _repeated(masks: Masks, repeats: int) -> Masks:
    if repeats == 1:
        return masks
    if isinstance(masks, dict):
        return {name: _repeat(mask, repeats) for name, mask in masks.items()}
    return _repeat(masks, repeats)


def _repeat(mask: Tensor, repeats: int) -> Tensor:
    """Repeat a mask for each set of strengths, without a copy where all rows share it."""
    return mask.expand(repeats, -1, -1, -1) if len(mask) == 1 else mask.repeat(repeats, 1, 1, 1)
