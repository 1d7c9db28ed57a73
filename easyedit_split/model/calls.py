"""Short calls that try a model: whole rows, padded rows, tokens behind cached ones.

Ids that stand for something else than text (padding, images) are left out of what is tried.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import DynamicCache

from .hooks import device_of, finite_masks
from .structure import text_config

KEYS = "past_key_values"
STATES = ("cache_params", "state")
"""How a call is given its cache: keys and values, or a recurrent state."""


def trial_ids(model: nn.Module, length: int) -> Int[Tensor, "1 s"]:
    """A row of ids that all stand for text.

    Args:
        model: a Hugging Face causal LM.
        length: of the row.
    """
    config: Any = model.config
    text = text_config(model)
    settings = {**vars(config), **vars(text)}
    special: set[int] = set()
    for key, value in settings.items():
        if key.endswith(("_token_id", "_token_index")):
            special |= {one for one in (value if isinstance(value, list) else [value]) if isinstance(one, int)}
    plain = [id_ for id_ in range(min(int(text.vocab_size), 4096)) if id_ not in special]
    chosen = torch.linspace(0.1 * len(plain), 0.9 * (len(plain) - 1), length).long().tolist()
    return torch.tensor([[plain[place] for place in chosen]], device=device_of(model))


@torch.no_grad()
def logits_of(model: nn.Module, ids: Int[Tensor, "b s"], padding: int = 0) -> Float[Tensor, "b s V"]:
    """Logits of rows in one call without a cache, in float64.

    Args:
        model: a Hugging Face causal LM.
        ids: the rows.
        padding: columns of padding on the left of each row, left out of what is given back.
    """
    wide = torch.cat([ids[:, :1].expand(-1, padding), ids], -1)
    mask = torch.ones_like(wide)
    mask[:, :padding] = 0
    places = (mask.cumsum(-1) - 1).clamp(min=0)
    with finite_masks(model):
        found: Tensor = model(input_ids=wide, attention_mask=mask, position_ids=places, use_cache=False).logits
    return found[:, padding:].double()


@torch.no_grad()
def cached_logits(model: nn.Module, ids: Int[Tensor, "b s"], cached: int) -> tuple[Float[Tensor, "b t V"], str]:
    """Logits of the tokens behind the first ``cached``, one call each, with the model's own cache, in float64.

    Args:
        model: a Hugging Face causal LM.
        ids: the rows.
        cached: tokens that the first call holds.

    Returns:
        ``(logits, name)``, the name of the argument that takes the cache.
    """
    found, name = [], KEYS
    known: dict[str, Any] = {KEYS: DynamicCache(config=model.config)}
    with finite_masks(model):
        for start, stop in [(0, cached), *((at, at + 1) for at in range(cached, ids.shape[1]))]:
            places = torch.arange(start, stop, device=ids.device).expand(len(ids), -1)
            masks = {"attention_mask": torch.ones_like(ids[:, :stop])} if name == KEYS else {}
            output = model(input_ids=ids[:, start:stop], position_ids=places, use_cache=True, **masks, **known)
            found.append(output.logits[:, -1:].double())
            given = next((key for key in (KEYS, *STATES) if getattr(output, key, None) is not None), None)
            if given is not None:  # else what was handed in was filled in its place
                name, known = given, {given: getattr(output, given)}
    return torch.cat(found[1:], 1), name
