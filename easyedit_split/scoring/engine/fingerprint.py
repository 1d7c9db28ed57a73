"""SHA-256 digests of everything that a cached state depends on, so that a change invalidates the cache.

Weights are digested by value (sums of their raw bits by row and by column), so an edit that torch does not count, such
as one through ``.data``, is noticed; it takes a fraction of one forward pass and happens once a call, not once a
launch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

import torch
import transformers
from torch import Tensor, nn

_WORDS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}

_WIDENED = 1 << 20
"""Elements that are added up at once."""


@torch.no_grad()
def weights_digest(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """SHA-256 digest of named tensors; on the meta device of their shapes alone.

    Args:
        tensors: names and values.
    """
    digest = hashlib.sha256()
    for name, tensor in tensors:
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype} ".encode())
        if tensor.device.type == "meta" or not tensor.numel():
            continue
        bits = tensor.detach().contiguous().view(_WORDS[tensor.element_size()])
        for sums in _sums(bits.reshape(-1, tensor.shape[-1] if tensor.ndim else 1)):
            digest.update(sums.cpu().numpy().tobytes())
    return digest.hexdigest()


def _sums(bits: Tensor) -> tuple[Tensor, Tensor]:
    """Sums over rows and over columns, computed for some rows at a time to bound memory."""
    height, width = bits.shape
    some = min(height, max(1, _WIDENED // width))
    wide = torch.empty(some, width, dtype=torch.int64, device=bits.device)
    columns = torch.zeros(width, dtype=torch.int64, device=bits.device)
    rows = torch.empty(height, dtype=torch.int64, device=bits.device)
    for first in range(0, height, some):
        piece = wide[: min(some, height - first)].copy_(bits[first : first + some])
        columns += piece.sum(0)
        rows[first : first + some] = piece.sum(1)
    return columns, rows


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
