"""SHA-256 digests of everything that a cached state depends on, so that a change invalidates the cache.

Weights are digested by value (``model.digests``), so an edit that torch does not count, such as one through ``.data``,
is noticed; it takes a fraction of one forward pass and happens once a call, not once a launch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

import torch
import transformers
from torch import nn

from ...model.digests import weights_digest


def model_digest(model: nn.Module, parts: Iterable[tuple[str, nn.Module]]) -> str:
    """SHA-256 digest of everything that the hidden states made by ``parts`` of a model depend on, besides the texts.

    Args:
        model: for its configuration and attention.
        parts: names and modules whose weights take part.
    """
    weights = weights_digest(
        (f"{name}.{inner}", tensor)
        for name, module in parts
        for inner, tensor in [*module.named_parameters(), *module.named_buffers()]
    )
    config: Any = model.config
    settings = json.dumps(config.to_dict(), sort_keys=True, default=str)
    attention = str(getattr(config, "_attn_implementation", ""))
    versions = f"{torch.__version__} {transformers.__version__}"
    first = next(model.parameters())
    facts = (weights, settings, attention, versions, str(first.dtype), first.device.type)
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


def texts_digest(texts: Sequence[Sequence[int]]) -> str:
    """SHA-256 digest of token ids, in order.

    Args:
        texts: ids of each text.
    """
    return hashlib.sha256(json.dumps([list(ids) for ids in texts]).encode()).hexdigest()
