"""Padded batches of token ids; masks come from sequence lengths, not from pad ids, so a pad token equal to EOS is safe.

    position_ids[i, j] = j - first(i) on real tokens, 0 under padding        first(i) = 0, or s - length(i) on the left

``plan_batches`` puts rows of like length together and bounds a batch by its padded size in tokens, not by its rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from ..types import ConfigError


@dataclass(frozen=True, slots=True)
class Row:
    """One token sequence: a prompt, an answer (empty in generation), and the length of the constant template prefix.

    Attributes:
        prompt: ids of everything before the answer.
        answer: ids of what follows it; empty in generation.
        prefix_length: tokens of the prompt's constant template prefix.
    """

    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    prefix_length: int


@dataclass(frozen=True, slots=True)
class Batch:
    """``b`` rows padded to ``s`` tokens.

    Attributes:
        input_ids: ``[b s]`` int64, pad ids where a row has no token.
        attention_mask: ``[b s]`` int64, 1 on real tokens.
        position_ids: ``[b s]`` int64, counted from each row's own first token.
        lengths: ``[b]`` real tokens of prompt and answer.
        prompt_lengths: ``[b]`` tokens of the prompt, BOS and template included.
        prefix_lengths: ``[b]`` tokens of BOS and the template's constant prefix.
    """

    input_ids: Int[Tensor, "b s"]
    attention_mask: Int[Tensor, "b s"]
    position_ids: Int[Tensor, "b s"]
    lengths: Int[Tensor, " b"]
    prompt_lengths: Int[Tensor, " b"]
    prefix_lengths: Int[Tensor, " b"]

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on ``device``.

        Args:
            device: a torch device or its name.
        """
        return Batch(
            self.input_ids.to(device),
            self.attention_mask.to(device),
            self.position_ids.to(device),
            self.lengths.to(device),
            self.prompt_lengths.to(device),
            self.prefix_lengths.to(device),
        )


def collate(rows: Sequence[Row], *, pad_id: int, side: Literal["right", "left"] = "right") -> Batch:
    """Pad rows to one length, on one side.

    Args:
        rows: sequences of token ids.
        pad_id: what fills the empty places; no score depends on it.
        side: ``right`` for scoring, ``left`` for generation.

    Raises:
        ConfigError: no rows, or a row without a prompt (nothing would predict its first token).
    """
    if not rows:
        raise ConfigError("a batch needs at least one row")
    empty = [i for i, row in enumerate(rows) if not row.prompt]
    if empty:
        raise ConfigError(f"row {empty[0]} of the batch has no prompt token: nothing would predict its answer")
    ids = [row.prompt + row.answer for row in rows]
    lengths = torch.tensor([len(row) for row in ids])
    width = int(lengths.max())
    column = torch.arange(width).expand(len(ids), width)
    first = torch.zeros_like(lengths) if side == "right" else width - lengths
    place = column - first[:, None]
    real = (place >= 0) & (place < lengths[:, None])
    input_ids = torch.full((len(ids), width), pad_id)
    input_ids[real] = torch.tensor([id_ for row in ids for id_ in row])
    return Batch(
        input_ids=input_ids,
        attention_mask=real.long(),
        position_ids=torch.where(real, place, 0),
        lengths=lengths,
        prompt_lengths=torch.tensor([len(row.prompt) for row in rows]),
        prefix_lengths=torch.tensor([row.prefix_length for row in rows]),
    )


def plan_batches(lengths: Sequence[int], *, max_tokens: int, max_rows: int) -> list[list[int]]:
    """Group rows of similar length into batches, longest first (so that an out-of-memory error comes at once).

    A batch holds at most ``max_rows`` rows and ``max_tokens`` padded tokens; one row longer than ``max_tokens`` is a
    batch of its own. The plan depends on nothing but its arguments.

    Args:
        lengths: tokens of each row.
        max_tokens: padded tokens of a batch at most.
        max_rows: rows of a batch at most.

    Returns:
        Indices of ``lengths``, batch by batch.

    Raises:
        ConfigError: a limit below 1.
    """
    for name, limit in (("max_tokens", max_tokens), ("max_rows", max_rows)):
        if limit < 1:
            raise ConfigError(f"{name} is {limit}, must be at least 1")
    plan: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        width = lengths[plan[-1][0]] if plan else 0
        if plan and len(plan[-1]) < max_rows and (len(plan[-1]) + 1) * width <= max_tokens:
            plan[-1].append(index)
        else:
            plan.append([index])
    return plan
