"""Synthetic testbed: a grammar of short chats, two tiny models trained on it, and exact judges.

    pairs(name, split)       the datasets: reviews, persona, power, concepts; train, dev, test
    load_checkpoint(name)    a trained tiny model and its tokenizer: gemma2, qwen2
    checkpoint_folder(name)  its folder, an ordinary Hugging Face one

torch loads with the first model, not with this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .datasets import DATASETS, SPLITS, pairs, stated

if TYPE_CHECKING:
    from .models import checkpoint_folder, load_checkpoint

__all__ = ["DATASETS", "SPLITS", "checkpoint_folder", "load_checkpoint", "pairs", "stated"]


def __getattr__(name: str) -> Any:
    if name in ("checkpoint_folder", "load_checkpoint"):
        from . import models

        return getattr(models, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
