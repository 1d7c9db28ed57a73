"""Masks of the steered tokens: one policy, computed from lengths, for training, scoring and generation alike.

``index`` is a token's place in its row, 0 at its first real token, negative under padding, whatever the padding side
and however much of the row is in a KV cache.

| policy        | steered positions                                                                        |
|---------------|------------------------------------------------------------------------------------------|
| ``all``         | every token                                                                              |
| ``prompt``      | tokens of the prompt                                                                     |
| ``last_prompt`` | the prompt's last token                                                                  |
| ``answer``      | positions that *predict* an answer token: the prompt's last up to the answer's last but one; |
|               | in generation, where the answer has no end yet, the prompt's last and every token fed back   |

``skip_prefix`` leaves out BOS and the chat template's constant prefix under any policy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ..registry import nearest
from ..types import ConfigError

Positions: TypeAlias = Literal["all", "prompt", "last_prompt", "answer"]
POLICIES: tuple[Positions, ...] = ("all", "prompt", "last_prompt", "answer")


@dataclass(frozen=True, slots=True)
class Layout:
    """Token positions in one model call: each token's index in its row, and the lengths of prompt, prefix and row.

    Attributes:
        index: ``[b s]`` place of each token in its row, negative under padding.
        prompt_lengths: ``[b]`` tokens of the prompt, template and BOS included.
        prefix_lengths: ``[b]`` tokens of BOS and the template's constant prefix.
        lengths: ``[b]`` tokens of prompt and answer; None while the answer is still being generated.
    """

    index: Int[Tensor, "b s"]
    prompt_lengths: Int[Tensor, " b"]
    prefix_lengths: Int[Tensor, " b"]
    lengths: Int[Tensor, " b"] | None = None


@dataclass(frozen=True, slots=True)
class TokenLayout:
    """Masks of steered and of real tokens for one model call, given by the caller instead of a ``Layout``.

    Attributes:
        steered: ``[b s]`` tokens that are changed.
        real: ``[b s]`` tokens that are no padding.
    """

    steered: Bool[Tensor, "b s"]
    real: Bool[Tensor, "b s"]


def position_mask(policy: Positions, skip_prefix: bool, layout: Layout) -> Bool[Tensor, "b s"]:
    """Boolean mask of the steered tokens.

    Args:
        policy: ``all``, ``prompt``, ``last_prompt`` or ``answer``.
        skip_prefix: leave out BOS and the chat template's constant prefix.
        layout: where each token lies in its row.

    Raises:
        ConfigError: unknown policy.
    """
    if policy not in POLICIES:
        raise ConfigError(f"unknown positions {policy!r}{nearest(policy, POLICIES)}")
    index, prompt = layout.index, layout.prompt_lengths[:, None]
    if policy == "all":
        mask = index >= 0
    elif policy == "prompt":
        mask = (index >= 0) & (index < prompt)
    elif policy == "last_prompt":
        mask = index == prompt - 1
    else:
        mask = index >= (prompt - 1).clamp(min=0)
        if layout.lengths is not None:
            mask &= index < layout.lengths[:, None] - 1
    if skip_prefix:
        mask = mask & (index >= layout.prefix_lengths[:, None])
    return mask


def index_from_mask(attention_mask: Tensor, tokens: int) -> Int[Tensor, "b s"]:
    """Index within its row of each of the last ``tokens`` columns, from the attention mask; -1 under padding.

    Args:
        attention_mask: ``[b s_total]``, 1 on real tokens, over cached and new tokens.
        tokens: columns that the call holds.
    """
    real = attention_mask.to(torch.long)
    index = real.cumsum(-1) - 1
    return torch.where(real.bool(), index, -1)[:, -tokens:]
