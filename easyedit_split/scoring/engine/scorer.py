"""Answer losses of pairs at many m, by the engine where it reproduces the reference scorer, else by the reference
scorer.

    L(A | q) of both answers of each pair at each m, nats, as in ``scoring``

A fallback is one log line that says why. Scores come m by m as they are finished, so that a journal can keep each.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import torch
from torch import nn

from ...model.hooks import frozen
from ...steering.forms.base import factors
from ...steering.intervention import Intervention
from ...text.batching import Row
from ...text.encode_pairs import EncodedPair
from ...types import ConfigError, Factors, FloatArray, Scores
from ..score import answer_rows, plain_scores_over_m
from .check import checked_engine
from .config import EngineConfig
from .engine import Engine, Prepared
from .launch import Launch
from .packing import Member
from .refusal import EngineRefused
from .release import released

logger = logging.getLogger(__name__)


def scores_over_m(
    model: nn.Module,
    pairs: Sequence[EncodedPair],
    intervention: Intervention | None,
    ms: Sequence[Factors],
    *,
    pad_id: int = 0,
    known: Collection[int] = (),
    config: EngineConfig | None = None,
) -> Iterator[Scores]:
    """Negative log-likelihood of both answers of each pair under an intervention at each of many m, in the order of
    ``ms``.

    Args:
        model: a Hugging Face causal LM.
        pairs: encoded by one template.
        intervention: None for the bare model.
        ms: floats or ``(m1, m2)``.
        pad_id: for the plain scorer; any valid id.
        known: places in ``ms`` that are left out; what shares a launch with them comes out as if they were not.
        config: how the engine works.

    Raises:
        ConfigError: no pairs, an m that is not finite, or a policy that leaves out every token.
    """
    points = [_point(m) for m in ms]
    scorer = PairScorer.ready(model, pairs, intervention, config)
    if scorer is None:
        yield from plain_scores_over_m(model, pairs, intervention, points, pad_id=pad_id, known=known)
    else:
        yield from scorer.over(points, known)


def _point(m: Factors) -> tuple[float, float]:
    m1, m2 = factors(m)
    return float(m1), float(m2)


class PairScorer:
    """Scorer of a fixed set of pairs, with the engine's caches filled for both answers of each pair.

    Args:
        engine: the engine.
        prepared: its texts: all positive answers, then all negative ones.
        intervention: what is scored.
        rows: the texts' ids.
    """

    def __init__(
        self, engine: Engine, prepared: Prepared, intervention: Intervention | None, rows: Sequence[Row]
    ) -> None:
        self.engine, self.prepared, self.intervention = engine, prepared, intervention
        self.n = len(rows) // 2
        self.tokens = np.array([len(row.answer) for row in rows])
        first = [place for place in prepared.texts.order() if place < self.n]
        self.units = [[Member(place), Member(self.n + place)] for place in first]

    @classmethod
    def ready(
        cls,
        model: nn.Module,
        pairs: Sequence[EncodedPair],
        intervention: Intervention | None,
        config: EngineConfig | None = None,
    ) -> PairScorer | None:
        """A scorer that agrees with the reference scorer; None, after one log line, where there is none.

        Args:
            model: a Hugging Face causal LM.
            pairs: encoded by one template.
            intervention: None for the bare model.
            config: how the engine works.
        """
        if config is not None and config.plain:
            return None
        if intervention is not None:
            intervention.onto(model)
        rows = answer_rows(pairs)
        try:
            with frozen(model):
                engine, prepared = checked_engine(model, rows, intervention, config)
        except EngineRefused as reason:
            logger.warning("scored by the reference scorer, without the engine: %s", reason)
            return None
        return cls(engine, prepared, intervention, rows)

    def over(self, points: Sequence[tuple[float, float]], known: Collection[int] = ()) -> Iterator[Scores]:
        """Scores at each ``(m1, m2)``, in order, each yielded as soon as it is computed.

        Args:
            points: finite strengths.
            known: places in ``points`` that are left out.

        Raises:
            ConfigError: the token policy leaves out every token of every text, though m is not 0.
        """
        self._require_steered(points)
        with released(self.engine, self.prepared):
            yield from self._over(points, known)

    def _over(self, points: Sequence[tuple[float, float]], known: Collection[int]) -> Iterator[Scores]:
        end = 0
        for launches in self._by_strengths(points):
            places = range(end, end := end + len(launches[0].strengths))
            if all(place in known for place in places):
                continue
            found: dict[tuple[float, float], FloatArray] = {}
            for launch in launches:
                self._run(launch, found)
            for place in places:
                if place in known:
                    continue
                row = found[points[place]]
                yield Scores(row[: self.n], row[self.n :], self.tokens[: self.n], self.tokens[self.n :])

    def _by_strengths(self, points: Sequence[tuple[float, float]]) -> Iterator[list[Launch]]:
        """Group the forward passes that share their strengths."""
        launches = self.engine.launches(self.prepared, self.units, [(point,) for point in points])
        for _, group in itertools.groupby(launches, key=lambda launch: id(launch.strengths)):
            yield list(group)

    def _run(self, launch: Launch, found: dict[tuple[float, float], FloatArray]) -> None:
        """Add the losses of one forward pass to the sums, one row of all texts per strength."""
        with frozen(self.engine.model), torch.no_grad():
            parts = self.engine.run(self.prepared, launch, self.intervention)
        for part, losses in parts:
            chosen = [member.text for member in part.members]
            for (point,), row in zip(
                part.strengths, losses.reshape(len(part.strengths), -1).cpu().numpy(), strict=True
            ):
                found.setdefault(point, np.empty(2 * self.n))[chosen] = row

    def _require_steered(self, points: Sequence[tuple[float, float]]) -> None:
        config = None if self.intervention is None else self.intervention.config
        if config is None or any(text.steered.any() for text in self.prepared.scored):
            return
        if any(value != 0 for point in points for value in point):
            raise ConfigError(
                f"no token of any row was steered (positions {config.positions}, skip_prefix {config.skip_prefix}), so "
                f"the model is unsteered at {', '.join(config.sites)}: give prompts that are longer than the chat "
                "template's constant prefix, or other positions"
            )
