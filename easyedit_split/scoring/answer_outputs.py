"""Output of a decoder block at the positions that predict an answer, under the unsteered model and an intervention.

    one array [T d] per text, float64; T answer tokens, the first predicted by the prompt's last token

By the engine, with a check of the shortest text; plainly, one text at a time, where the engine refuses.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..model.hooks import activations, device_of, frozen
from ..model.sites import RESIDUAL, Site
from ..steering.attach import attach
from ..steering.intervention import Intervention
from ..text.batching import Row, collate
from ..types import FloatArray
from .engine.answer_states import predicting_outputs, require_close
from .engine.engine import Engine, Prepared
from .engine.packing import Member
from .engine.refusal import EngineRefused
from .engine.texts import read_texts
from .score import layout_of

logger = logging.getLogger(__name__)


@torch.no_grad()
def answer_outputs(
    model: nn.Module,
    pad_id: int,
    rows: Sequence[Row],
    block: int,
    intervention: Intervention | None,
    ms: Sequence[float],
) -> list[list[FloatArray]]:
    """Outputs of a decoder block at the positions that predict each text's answer, at each of several m.

    Args:
        model: a Hugging Face causal LM.
        pad_id: any valid id; it changes nothing.
        rows: prompts with their answers.
        block: whose output is taken; the intervention acts there or before.
        intervention: None for the bare model.
        ms: strengths; 0 is the bare model.

    Returns:
        For each m one ``[T d]`` per text.
    """
    try:
        with frozen(model):
            return _by_engine(model, pad_id, rows, block, intervention, ms)
    except EngineRefused as reason:
        logger.warning("activations computed by ordinary forward passes, without the engine: %s", reason)
        return [[_array(_plain(model, pad_id, row, block, intervention, m)) for row in rows] for m in ms]


def _by_engine(
    model: nn.Module,
    pad_id: int,
    rows: Sequence[Row],
    block: int,
    intervention: Intervention | None,
    ms: Sequence[float],
) -> list[list[FloatArray]]:
    engine = Engine(model)
    prepared = engine.prepare(read_texts(rows), None if intervention is None else intervention.config)
    found = [_at(engine, prepared, block, intervention, m) for m in ms]
    shortest = min(range(len(rows)), key=lambda i: len(rows[i].prompt) + len(rows[i].answer))
    for m, outputs in zip(ms, found, strict=True):
        wanted = _plain(model, pad_id, rows[shortest], block, intervention, m)
        require_close(outputs[shortest], wanted, wanted.dtype)
    return [[_array(h) for h in outputs] for outputs in found]


def _at(engine: Engine, prepared: Prepared, block: int, intervention: Intervention | None, m: float) -> list[Tensor]:
    outputs: dict[int, Tensor] = {}
    units = [[Member(place)] for place in prepared.texts.order()]
    for launch in engine.launches(prepared, units, [((m, m),)]):
        parts = predicting_outputs(engine, prepared, launch, intervention, block)
        outputs |= {member.text: part for member, part in zip(launch.members, parts, strict=True)}
    return [outputs[place] for place in range(len(units))]


def _plain(model: nn.Module, pad_id: int, row: Row, block: int, intervention: Intervention | None, m: float) -> Tensor:
    batch = collate([row], pad_id=pad_id).to(device_of(model))
    site = Site(block, RESIDUAL)
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, "position_ids": batch.position_ids}
    if intervention is None:
        with activations(model, [site]) as found:
            model(**inputs, use_cache=False, logits_to_keep=1)
    else:
        with attach(model, intervention, m, layout=layout_of(batch)), activations(model, [site]) as found:
            model(**inputs, use_cache=False, logits_to_keep=1)
    start = len(row.prompt) - 1
    return found[site][0, start : start + len(row.answer)]


def _array(h: Tensor) -> FloatArray:
    return np.asarray(h.double().cpu().numpy(), dtype=np.float64)
