"""Mean hidden states over the tokens of each answer under the unsteered model, for DiffMean and the layer scan.

    mean over an answer's tokens of h, one row of [n d] per answer

By the engine, where a token that several rows share runs once and nothing behind the wanted blocks runs; plainly, one
row at a time so that padding plays no part, where the engine refuses. Both agree to rounding, which is checked on the
shortest row.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..model.hooks import activations, device_of, frozen
from ..model.sites import Site
from ..text.batching import Row, collate
from .engine.answer_states import engine_answer_means, require_close
from .engine.engine import Engine
from .engine.refusal import EngineRefused
from .engine.texts import read_texts

logger = logging.getLogger(__name__)


@torch.no_grad()
def answer_means(model: nn.Module, pad_id: int, rows: Sequence[Row], sites: Sequence[Site]) -> dict[Site, Tensor]:
    """Mean hidden state over each row's answer tokens, ``[n d]`` per site, at least fp32.

    Args:
        model: a Hugging Face causal LM.
        pad_id: any valid id; it changes nothing.
        rows: prompts with their answers.
        sites: whose outputs are averaged.
    """
    if not all(row.prompt for row in rows):  # an answer alone, which the engine has no place for
        return plain_answer_means(model, pad_id, rows, sites)
    try:
        with frozen(model):
            return _by_engine(model, pad_id, rows, sites)
    except EngineRefused as reason:
        logger.warning("activations computed by ordinary forward passes, without the engine: %s", reason)
        return plain_answer_means(model, pad_id, rows, sites)


def _by_engine(model: nn.Module, pad_id: int, rows: Sequence[Row], sites: Sequence[Site]) -> dict[Site, Tensor]:
    found = engine_answer_means(Engine(model), read_texts(rows), sites)
    shortest = min(range(len(rows)), key=lambda i: len(rows[i].prompt) + len(rows[i].answer))
    wanted = plain_answer_means(model, pad_id, [rows[shortest]], sites)
    for site, means in found.items():
        require_close(means[shortest], wanted[site][0], next(model.parameters()).dtype)
    return found


@torch.no_grad()
def plain_answer_means(model: nn.Module, pad_id: int, rows: Sequence[Row], sites: Sequence[Site]) -> dict[Site, Tensor]:
    """Mean hidden state over each row's answer tokens by one ordinary forward pass per row; the reference for
    ``answer_means``.

    Args:
        model: a Hugging Face causal LM.
        pad_id: any valid id; it changes nothing.
        rows: prompts with their answers.
        sites: whose outputs are averaged.
    """
    means: dict[Site, list[Tensor]] = {site: [] for site in sites}
    for row in rows:
        read = row if row.prompt else Row(row.answer[:1], row.answer[1:], 0)  # an answer alone
        batch = collate([read], pad_id=pad_id).to(device_of(model))
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
