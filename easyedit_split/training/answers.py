"""Answer losses for training: computed by the engine in several launches, or by one forward pass for the batch.

    losses of a side = L(own | q), L(other | q) of each of its pairs under the pair's m, summed nats, with gradients

The engine gives them a few pairs at a time, so that a step needs the memory of one launch and not of a batch; gradients
add up to the same. Where it refuses, one log line says why and the plain scorer takes its place.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from ..model.hooks import device_of
from ..scoring.engine.check import checked_engine
from ..scoring.engine.engine import Engine, EngineConfig, Prepared
from ..scoring.engine.launch import Launch
from ..scoring.engine.packing import Member
from ..scoring.engine.refusal import EngineRefused
from ..scoring.engine.release import released
from ..scoring.score import answer_rows, row_losses
from ..steering.attach import Delta
from ..steering.intervention import Intervention
from ..text.batching import Row, collate
from ..text.encode_pairs import EncodedPair
from .dropout import Dropout

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Side:
    """One steering direction (+m or -m) of a batch of pairs.

    Attributes:
        pairs: which of the run's pairs.
        names: the answers that are scored, the one that the direction is for first.
        m: ``[answers n]`` strength of each, on the CPU.
        delta: what is added, but for dropout.
        dropout: acts on what is added; None for none.
    """

    pairs: Sequence[int]
    names: tuple[str, ...]
    m: Float64[Tensor, "a n"]
    delta: Delta
    dropout: Dropout | None = None


@dataclass(frozen=True, slots=True)
class LossPart:
    """Negative log-likelihoods of the answers of some of a batch's pairs.

    Attributes:
        places: of the pairs in the side.
        L: ``[answers k]`` summed nats.
    """

    places: Sequence[int]
    L: Float64[Tensor, "a k"]


@runtime_checkable
class AnswerSource(Protocol):
    """Interface of what computes answer losses for training."""

    def parts(self, side: Side, *, whole: bool) -> Iterator[LossPart]:
        """Compute the losses of one direction of a batch, in parts; in one part where ``whole``.

        Args:
            side: one direction of a batch.
            whole: in a single part.
        """
        ...

    def halve(self) -> bool:
        """Halve the memory used from now on; returns whether that was possible."""
        ...

    def at_work(self) -> AbstractContextManager[None]:
        """Inside, parts are asked for and the model is not called by others."""
        ...


class PlainAnswers:
    """Answer losses by one forward pass for each direction of a batch.

    Args:
        model: frozen and in evaluation mode.
        pairs: the run's.
        intervention: what is trained.
        pad_id: any valid id.
    """

    def __init__(self, model: nn.Module, pairs: Sequence[EncodedPair], intervention: Intervention, pad_id: int) -> None:
        self.model, self.pairs, self.intervention = model, pairs, intervention
        self.pad_id = pad_id

    def parts(self, side: Side, *, whole: bool) -> Iterator[LossPart]:
        """Compute the losses of one direction of a batch, in one part.

        Args:
            side: one direction of a batch.
            whole: unused; it is one part anyway.
        """
        pairs = [self.pairs[i] for i in side.pairs]
        rows = [Row(pair.prompt, getattr(pair, name), pair.prefix_length) for name in side.names for pair in pairs]
        device = device_of(self.model)
        batch = collate(rows, pad_id=self.pad_id).to(device)
        m = side.m.flatten().to(device)
        delta = side.delta if side.dropout is None else side.dropout.whole(side.delta)
        losses = row_losses(self.model, batch, self.intervention, m, delta=delta)
        yield LossPart(range(len(pairs)), losses.reshape(len(side.names), -1))

    def halve(self) -> bool:
        """False: one forward pass cannot be divided."""
        return False

    def at_work(self) -> AbstractContextManager[None]:
        """It needs the whole model."""
        return nullcontext()


class EngineAnswers:
    """Answer losses by the scoring engine, which divides a batch into launches.

    Args:
        engine: made inside ``frozen``.
        prepared: positive answers of all pairs, then the negative ones.
        intervention: what is trained.
        n: pairs.
    """

    def __init__(self, engine: Engine, prepared: Prepared, intervention: Intervention, n: int) -> None:
        self.engine, self.prepared, self.intervention = engine, prepared, intervention
        self.texts = {"positive": range(n), "negative": range(n, 2 * n)}

    def parts(self, side: Side, *, whole: bool) -> Iterator[LossPart]:
        """Compute the losses of one direction, a part per launch; where ``whole``, in one part, with their graphs kept.

        Args:
            side: one direction of a batch.
            whole: in a single part.
        """
        parts = (part_of(side, units, losses) for units, losses in self._launched(side))
        yield from [joined(list(parts))] if whole else parts

    def _launched(self, side: Side) -> Iterator[tuple[list[int], Tensor]]:
        for launch in launches_of(self.engine, self.prepared, self.texts, side):
            widths = [len(row.node) for row in launch.rows]
            delta = side.delta if side.dropout is None else side.dropout.by_rows(side.delta, widths)
            losses = self.engine.losses(self.prepared, launch, self.intervention, delta)
            yield [unit for row in launch.rows for unit in row.units], losses

    def halve(self) -> bool:
        """Half the tokens a launch, down to one row each."""
        return self.engine.shrink()

    def at_work(self) -> AbstractContextManager[None]:
        """Lower blocks may leave the device."""
        return released(self.engine, self.prepared)


def launches_of(engine: Engine, prepared: Prepared, texts: Mapping[str, Sequence[int]], side: Side) -> list[Launch]:
    """The launches that score a side; units are its pairs, in order.

    Args:
        engine: the engine.
        prepared: the texts.
        texts: for each answer's name the text of each of the run's pairs.
        side: one direction of a batch.
    """
    values = side.m.tolist()
    slots = {m: slot for slot, m in enumerate(dict.fromkeys(m for row in values for m in row))}
    units = [
        [Member(texts[name][pair], slots[row[place]]) for name, row in zip(side.names, values, strict=True)]
        for place, pair in enumerate(side.pairs)
    ]
    return engine.launches(prepared, units, [tuple((m, m) for m in slots)])


def part_of(side: Side, units: Sequence[int], losses: Float64[Tensor, " texts"]) -> LossPart:
    """Losses of some of a side's pairs as they come from a launch.

    Args:
        side: one direction of a batch.
        units: places of the pairs in the side.
        losses: of each pair's answers, pair after pair.
    """
    return LossPart(units, losses.reshape(len(units), len(side.names)).T)


def joined(parts: Sequence[LossPart]) -> LossPart:
    """Losses of a whole side, its pairs in order.

    Args:
        parts: which together hold every pair.
    """
    places = [place for part in parts for place in part.places]
    order = torch.tensor(places).argsort()
    return LossPart(range(len(places)), torch.cat([part.L for part in parts], 1)[:, order.to(parts[0].L.device)])


def answers_for(
    model: nn.Module,
    pairs: Sequence[EncodedPair],
    intervention: Intervention,
    pad_id: int,
    config: EngineConfig,
) -> AnswerSource:
    """Choose the source of answer losses: the engine where its numbers equal the plain scorer's, else the plain scorer.

    Args:
        model: frozen and in evaluation mode.
        pairs: the run's.
        intervention: what is trained.
        pad_id: any valid id.
        config: how the engine works, or that it should not.
    """
    plain = PlainAnswers(model, pairs, intervention, pad_id)
    if config.plain:
        return plain
    try:
        engine, prepared = checked_engine(model, answer_rows(pairs), intervention, config)
    except EngineRefused as reason:
        logger.warning("training by plain forward passes, without the scoring engine: %s", reason)
        return plain
    return EngineAnswers(engine, prepared, intervention, len(pairs))
