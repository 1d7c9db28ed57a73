"""Fingerprint of a run as JSON values, so that an interrupted run is resumed only by an identical one.

A model is known by its name, commit, dtype, attention, device, tokenizer, and a hash over a sample of its weights:
64 values of each parameter, evenly spaced, so that a folder whose weights were replaced is another model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from ..datasets.base import PairTable
from ..model.describe import describe
from ..model.hooks import device_of
from ..text.prompt_tokens import tokenizer_hash

_VALUES = 64


def model_identity(network: nn.Module, tokenizer: Any, name: str) -> dict[str, Any]:
    """Everything about a loaded model that its scores and texts depend on.

    Args:
        network: the loaded model.
        tokenizer: its tokenizer.
        name: what the user calls it.
    """
    return {
        "model": describe(network, name),
        "weights": weights_sample(network),
        "device": device_of(network).type,
        "tokenizer": tokenizer_hash(tokenizer),
    }


def pairs_identity(table: PairTable) -> dict[str, Any]:
    """Everything about the scored pairs: texts, roles, order, and the row numbers in the result.

    Args:
        table: the pairs and their source.
    """
    return {"pairs": table.pairs_sha256, "rows": list(table.rows)}


@torch.no_grad()
def weights_sample(network: nn.Module) -> str:
    """SHA-256 over names, shapes and a sample of every parameter; offloaded ones count by name and shape.

    Args:
        network: the loaded model.
    """
    total = hashlib.sha256()
    for name, parameter in network.named_parameters():
        total.update(f"\0{name}\0{parameter.dtype}\0{tuple(parameter.shape)}\0".encode())
        for tensor in _plain_parts(parameter.detach()):
            if not tensor.is_meta and tensor.numel():
                values = tensor.reshape(-1)
                sample = values[:: max(1, len(values) // _VALUES)][: 2 * _VALUES]
                total.update(sample.cpu().contiguous().view(torch.uint8).numpy().data)
    return total.hexdigest()


def _plain_parts(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    """The plain tensors that a tensor consists of: itself, or a quantised one's integers and scales."""
    if not hasattr(tensor, "__tensor_flatten__"):
        yield tensor
        return
    for name in tensor.__tensor_flatten__()[0]:
        yield from _plain_parts(getattr(tensor, name))
