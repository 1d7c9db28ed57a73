"""Fingerprint of a run as JSON values, so that an interrupted run is resumed only by an identical one.

A model is known by its name, commit, dtype, attention, device, tokenizer, versions, and digests of its weights,
configuration and generation settings (``model.digests``), so that a folder in which any of them was replaced is another
model.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from ..datasets.base import PairTable
from ..model.describe import describe
from ..model.digests import model_digests, versions
from ..model.hooks import device_of
from ..text.prompt_tokens import tokenizer_hash


def model_identity(network: nn.Module, tokenizer: Any, name: str) -> dict[str, Any]:
    """Everything about a loaded model that its scores and texts depend on.

    Args:
        network: the loaded model.
        tokenizer: its tokenizer.
        name: what the user calls it.
    """
    return {
        "model": describe(network, name),
        **model_digests(network),
        "versions": versions(),
        "device": device_of(network).type,
        "tokenizer": tokenizer_hash(tokenizer),
    }


def pairs_identity(table: PairTable) -> dict[str, Any]:
    """Everything about the scored pairs: texts, roles, order, and the row numbers in the result.

    Args:
        table: the pairs and their source.
    """
    return {"pairs": table.pairs_sha256, "rows": list(table.rows)}
