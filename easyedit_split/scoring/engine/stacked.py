"""One launch for several interventions: their rows side by side in one call of the decoder.

    b = rows of lane 1, rows of lane 2, ...         what enters a lane's rows is its own h + dy

All lanes enter behind the same block, so that the blocks above it are the same call. A lane's rows see nothing of
another's, hence its losses, and their gradients in its own parameters, are those that it has alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from ...steering.attach import Delta
from ...steering.intervention import Intervention
from .engine import Engine, Prepared
from .launch import Inputs, Launch, Strengths, inputs_of
from .packing import PackedRow


@dataclass(frozen=True, slots=True)
class Lane:
    """Rows of a batch that share one intervention.

    Attributes:
        prepared: the texts, ready for the intervention.
        rows: packed for it.
        strengths: ``(m1, m2)`` of each slot of the rows.
        intervention: what acts.
        delta: what is added.
    """

    prepared: Prepared
    rows: tuple[PackedRow, ...]
    strengths: Strengths
    intervention: Intervention
    delta: Delta


def can_share(prepared: Prepared) -> bool:
    """Whether launches of these texts may hold other interventions as well: the change is made on entering.

    Args:
        prepared: from ``Engine.prepare``.
    """
    return prepared.states is not None and prepared.entry.site is not None


def shared(engine: Engine, parts: Sequence[Prepared]) -> Prepared:
    """Context of a launch of several lanes, with the cached keys that any of them uses.

    Args:
        engine: the engine that prepared them.
        parts: of the same texts, entered behind the same block.
    """
    first = parts[0]
    constant = [max(texts) for texts in zip(*([text.constant for text in part.scored] for part in parts), strict=True)]
    scored = tuple(dataclasses.replace(text, constant=n) for text, n in zip(first.scored, constant, strict=True))
    with torch.no_grad():
        keys = engine.library.keys(first.texts, first.entry, first.states, scored)
    return dataclasses.replace(first, scored=scored, keys=keys)


def stacked_losses(engine: Engine, together: Prepared, lanes: Sequence[Lane]) -> list[Float64[Tensor, " texts"]]:
    """L(A | q) of each text of each lane, summed nats, differentiable in the lanes' parameters.

    Args:
        engine: the engine that prepared the lanes.
        together: from ``shared``.
        lanes: at least one.

    Returns:
        For each lane one loss per text: its rows' members in order.
    """
    rows, strengths = list[PackedRow](), list[tuple[float, float]]()
    for lane in lanes:
        rows += [_moved(row, len(strengths)) for row in lane.rows]
        strengths += lane.strengths
    inputs = inputs_of(Launch(tuple(rows), (tuple(strengths),)), engine.anatomy.device)
    parts, first = [], 0
    for lane in lanes:
        own = _of_rows(inputs, slice(first, first := first + len(lane.rows)))
        parts.append(engine.entering(lane.prepared, own, lane.intervention if own.acting else None, lane.delta))
    hidden = torch.cat([part for part in parts if part is not None])
    with engine.entered(together, inputs, hidden, None, None) as arguments:
        losses = engine.decoded(inputs, arguments)
    return list(torch.split(losses, [sum(len(row.members) for row in lane.rows) for lane in lanes]))


def _moved(row: PackedRow, slots: int) -> PackedRow:
    """A row whose strengths stand behind ``slots`` others."""
    return dataclasses.replace(row, slot=np.where(row.slot < 0, row.slot, row.slot + slots))


def _of_rows(inputs: Inputs, rows: slice) -> Inputs:
    """What entering reads of some rows; the answers stay those of all."""
    per_row = ("node", "constant", "token", "depth", "sees", "key_depth", "m1", "m2", "steered")
    return dataclasses.replace(inputs, **{name: getattr(inputs, name)[rows] for name in per_row})
