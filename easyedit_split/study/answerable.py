"""Prompts whose answers a model has room for, looked at before any is written."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ..model.context import require_context
from ..text.prompt_tokens import Template
from ..types import DataError


def require_answerable(
    model: nn.Module, template: Template, prompts: Sequence[str], rows: Sequence[int], max_new_tokens: int, source: str
) -> None:
    """Raise for a prompt that cannot be encoded, or whose answer would leave the model's context, by its row.

    Args:
        model: a causal LM.
        template: how its tokenizer writes a prompt.
        prompts: texts or conversations.
        rows: the number of each in its file.
        max_new_tokens: longest answer.
        source: the file, for messages.

    Raises:
        DataError: file, row and why.
    """
    for prompt, row in zip(prompts, rows, strict=True):
        try:
            require_context(model, len(template.generation_prompt(prompt)), max_new_tokens)
        except DataError as error:
            raise DataError(f"{source}, row {row}: prompt {error}") from error
