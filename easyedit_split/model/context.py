"""A model's context: the most tokens of one row that its configuration is made for.

Beyond it learned positions end in an index error, and rotary ones go on without a word with positions that the model
has never seen; so rows beyond it are errors, in training, scoring and generation.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from ..types import DataError


def context_of(model: nn.Module) -> int | None:
    """The longest row that a model's configuration allows, in tokens; None where it states no limit.

    Args:
        model: a causal LM.
    """
    config: Any = getattr(model, "config", None)
    if hasattr(config, "get_text_config"):
        config = config.get_text_config()
    stated = getattr(config, "max_position_embeddings", None)
    return stated if isinstance(stated, int) and stated > 0 else None


def require_context(model: nn.Module, prompt: int, answer: int) -> None:
    """Raise where a prompt and the longest answer asked for are more than the model's context.

    Args:
        model: a causal LM.
        prompt: length of the prompt, in tokens.
        answer: longest answer, in tokens.

    Raises:
        DataError: they are; the sentence goes on from the prompt's name.
    """
    context = context_of(model)
    if context is not None and prompt + answer > context:
        raise DataError(
            f"is {prompt} tokens long, and with max_new_tokens={answer} longer than the model's context of {context}: "
            "shorten either"
        )
