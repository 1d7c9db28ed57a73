"""Prefix sharing: the unsteered start of each prompt is run once and copied into the KV cache of every row.

Under a token policy, a prompt's first tokens up to the first steered one have the bare model's keys and values at every
m: the template's opening under ``skip_prefix``, all but the last token under ``answer``. A batch of rows ``[b w]``,
padded on the left, is cut into

    | padding, reused (w - r columns) | run for this row (r columns) |        r = max over rows of (prompt - constant)

so its columns, masks and positions are those of the whole batch; only where the first w - r columns come from differs.
At m = 0 nothing is steered and nothing has to be shared: the bare model's rows run whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor, nn
from transformers.cache_utils import DynamicCache

from ..model.sites import decoder_of
from ..text.openings import Ids
from ..text.positions import Layout, Positions, position_mask


@dataclass(frozen=True, slots=True)
class SharedPrompt:
    """The prefixes that rows of a batch share, and how much of each row remains to be run.

    Attributes:
        parts: distinct beginnings of prompts, none of which begins another.
        part: of each row, the number of the part that it begins with.
        reused: of each row, how many of its tokens are taken from there.
        run: columns that are left to run, r; at least 1.
    """

    parts: tuple[Ids, ...]
    part: tuple[int, ...]
    reused: tuple[int, ...]
    run: int


def constant_lengths(
    policy: Positions, skip_prefix: bool, prompt_lengths: Sequence[int], prefix_lengths: Sequence[int]
) -> list[int]:
    """Number of unsteered tokens at the start of each prompt, so the same at every m; the last token never counts.

    Args:
        policy: which tokens are steered.
        skip_prefix: leave out the constant template prefix.
        prompt_lengths: tokens of each prompt.
        prefix_lengths: tokens of its constant template prefix.
    """
    lengths = torch.tensor(prompt_lengths)
    column = torch.arange(int(lengths.max())).expand(len(lengths), -1)
    index = torch.where(column < lengths[:, None], column, -1)
    steered = position_mask(policy, skip_prefix, Layout(index, lengths, torch.tensor(prefix_lengths)))
    before_first = (~steered).long().cumprod(-1).sum(-1)
    return torch.minimum(before_first, lengths - 1).tolist()


def share(prompts: Sequence[Ids], constant: Sequence[int]) -> SharedPrompt | None:
    """Divide a batch into shared prefixes and the rest to run; None where that would not save work.

    Args:
        prompts: ids of each row.
        constant: how many of each row's first tokens no m changes, fewer than it has.
    """
    width = max(len(prompt) for prompt in prompts)
    run = max(len(prompt) - count for prompt, count in zip(prompts, constant, strict=True))
    reused = [max(len(prompt) - run, 0) for prompt in prompts]
    parts: list[Ids] = []
    part = [0] * len(prompts)
    for row in sorted(range(len(prompts)), key=lambda i: -reused[i]):  # a part is found before what begins it
        begin = prompts[row][: reused[row]]
        found = next((k for k, ids in enumerate(parts) if ids[: len(begin)] == begin), None)
        if found is None:
            parts.append(begin)
        part[row] = len(parts) - 1 if found is None else found
    if len(parts) * len(parts[0]) + len(prompts) * run >= len(prompts) * width:
        return None
    return SharedPrompt(tuple(parts), tuple(part), tuple(reused), run)


def part_ids(shared: SharedPrompt, pad_id: int) -> Int[Tensor, "n w"]:
    """The shared prefixes as one batch, padded on the right; causal attention hides that padding.

    Args:
        shared: from ``share``.
        pad_id: what fills the empty places.
    """
    width = len(shared.parts[0])
    return torch.tensor([[*ids, *[pad_id] * (width - len(ids))] for ids in shared.parts])


def run_parts(model: nn.Module, ids: Int[Tensor, "n w"]) -> DynamicCache:
    """Keys and values of the shared prefixes, at every position; sliding windows are left to the masks.

    Args:
        model: a Hugging Face causal LM, as it is.
        ids: from ``part_ids``, on the model's device.
    """
    cache = DynamicCache()
    decoder = decoder_of(model)
    decoder(input_ids=ids, attention_mask=torch.ones_like(ids), past_key_values=cache, use_cache=True)
    return cache


def spread(cache: DynamicCache, shared: SharedPrompt, columns: int) -> None:
    """Copy each row's shared prefix into its KV cache, right-aligned in ``columns`` columns; in place.

    Args:
        cache: from ``run_parts``.
        shared: the same batch's.
        columns: width of the batch less ``shared.run``.
    """
    for layer in cache.layers:
        device = layer.keys.device
        part, reused = torch.tensor(shared.part, device=device), torch.tensor(shared.reused, device=device)
        source = torch.arange(columns, device=device) - (columns - reused)[:, None]
        source = source.clamp(min=0)  # padding: masked, whatever stands there
        layer.keys = layer.keys[part[:, None], :, source].transpose(1, 2).contiguous()
        layer.values = layer.values[part[:, None], :, source].transpose(1, 2).contiguous()
