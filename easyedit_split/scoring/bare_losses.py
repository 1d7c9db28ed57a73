"""Negative log-likelihood of answers under the unsteered model, where many answers follow few prompts.

    L(A | q) = - sum over the tokens t of A of  log p(A_t | q, A_<t)      nats

By the engine, where a prompt that several answers follow runs once; by the reference scorer where the engine refuses.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from ..model.hooks import device_of, frozen
from ..text.batching import Row, collate, plan_batches
from ..types import FloatArray
from .engine.check import checked_engine
from .engine.packing import Member
from .engine.refusal import EngineRefused
from .score import row_losses

logger = logging.getLogger(__name__)
MOST_TOKENS, MOST_ROWS = 4096, 32
"""Of a batch that the reference scorer reads."""


@torch.no_grad()
def bare_losses(model: nn.Module, pad_id: int, rows: Sequence[Row]) -> Float[FloatArray, " n"]:
    """Negative log-likelihood of each row's answer under the unsteered model, summed nats.

    Args:
        model: a Hugging Face causal LM.
        pad_id: any valid id; it changes nothing.
        rows: prompts with their answers, at least one token each.
    """
    try:
        with frozen(model):
            return _by_engine(model, rows)
    except EngineRefused as reason:
        logger.warning("answers scored by the reference scorer, without the engine: %s", reason)
        return plain_bare_losses(model, pad_id, rows)


def _by_engine(model: nn.Module, rows: Sequence[Row]) -> FloatArray:
    engine, prepared = checked_engine(model, rows, None, None)
    found = np.empty(len(rows))
    units = [[Member(place)] for place in prepared.texts.order()]
    for launch in engine.launches(prepared, units, [((0.0, 0.0),)]):
        for part, losses in engine.run(prepared, launch):
            found[[member.text for member in part.members]] = losses.cpu().numpy()
    return found


@torch.no_grad()
def plain_bare_losses(model: nn.Module, pad_id: int, rows: Sequence[Row]) -> Float[FloatArray, " n"]:
    """The same by ordinary forward passes over padded batches; the reference for ``bare_losses``.

    Args:
        model: a Hugging Face causal LM.
        pad_id: any valid id; it changes nothing.
        rows: prompts with their answers, at least one token each.
    """
    found = np.empty(len(rows))
    lengths = [len(row.prompt) + len(row.answer) for row in rows]
    for places in plan_batches(lengths, max_tokens=MOST_TOKENS, max_rows=MOST_ROWS):
        batch = collate([rows[place] for place in places], pad_id=pad_id).to(device_of(model))
        with frozen(model):
            found[places] = row_losses(model, batch).cpu().numpy()
    return found
