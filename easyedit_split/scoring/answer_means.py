"""Mean activations over the tokens of an answer, under the bare model: what DiffMean and the layer scan are made of.

    mean over an answer's tokens of h, one row of [n d] per answer

One row at a time, so that padding plays no part.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..model.hooks import activations, device_of
from ..model.sites import Site
from ..text.batching import Row, collate


@torch.no_grad()
def answer_means(model: nn.Module, pad_id: int, rows: Sequence[Row], sites: Sequence[Site]) -> dict[Site, Tensor]:
    """Mean activation over each row's answer tokens, ``[n d]`` per site, at least fp32.

    Args:
        model: a Hugging Face causal LM.
        pad_id: any valid id; it changes nothing.
        rows: prompts with their answers, as ids.
        sites: where to look.
    """
    means: dict[Site, list[Tensor]] = {site: [] for site in sites}
    for row in rows:
        batch = collate([row], pad_id=pad_id).to(device_of(model))
        with activations(model, sites) as found:
            model(
                input_ids=batch.input_ids,
                attention_mask=batch.attention_mask,
                position_ids=batch.position_ids,
                use_cache=False,
                logits_to_keep=1,
            )
        for site, h in found.items():
            answer = h[0, len(row.prompt) :].to(torch.promote_types(h.dtype, torch.float32))
            means[site].append(answer.mean(0))
    return {site: torch.stack(values) for site, values in means.items()}
