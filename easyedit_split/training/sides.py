"""The two steering directions of a batch: which answers are scored at which m, and the objective's loss of them.

    +m   own = positive, other = negative          -m (``directions: both``)   own = negative, other = positive

One m per pair and step is drawn from ``steering_factors``, which an objective may keep within its reach, and shared by
both answers (apart where the objective says so); under dropout each element of dy is 0 with probability p and else
scaled by 1 / (1 - p).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ..steering.forms.base import Form, Strength
from ..text.encode_pairs import EncodedPair
from .answers import LossPart, Side
from .dropout import Dropout
from .objectives.base import AnswerLosses, TrainedObjective, TrainingDelta
from .reach import Reach
from .run_config import RunConfig


@dataclass(frozen=True, slots=True)
class DrawnBatch:
    """A batch of pairs with the m sampled for each pair's target answer and other answer.

    Attributes:
        pairs: which of the run's pairs.
        m_own: ``[n]`` m for the own answers, on the CPU.
        m_other: ``[n]`` m for the other answers, on the CPU.
    """

    pairs: list[int]
    m_own: Float64[Tensor, " n"]
    m_other: Float64[Tensor, " n"]


class Sides:
    """The answers and strengths that a run scores in each direction (+m and -m), and its objective's loss.

    Args:
        pairs: the run's.
        run: its settings.
        objective: its objective.
        noise: source of dropout, on the model's device.
        bare: the bare model's losses ``[n]`` of all positive and negative answers, where the objective needs them.
        reach: keeps the factors within the objective's reach, where it has one.
    """

    def __init__(
        self,
        pairs: Sequence[EncodedPair],
        run: RunConfig,
        objective: TrainedObjective,
        noise: torch.Generator,
        bare: Mapping[str, Tensor] | None,
        reach: Reach | None = None,
    ) -> None:
        self.pairs, self.run, self.objective, self.noise, self.bare = pairs, run, objective, noise, bare
        self.reach = reach
        self.minus_delta = run.minus_delta() if run.train.directions == "both" else None
        self.dropout = Dropout(run.train.dropout, noise) if run.train.dropout else None
        self._P = torch.tensor([len(pair.prompt) for pair in pairs])
        self._T = {
            name: torch.tensor([len(getattr(pair, name)) for pair in pairs]) for name in ("positive", "negative")
        }

    def draw(self, batch: list[int], generator: torch.Generator) -> DrawnBatch:
        """Sample the strengths of a batch.

        Args:
            batch: which pairs.
            generator: of the run's draws.
        """
        scale = self.reach.scale() if self.reach is not None else 1.0
        values = scale * torch.tensor(self.run.train.steering_factors, dtype=torch.float64)

        def draw() -> Tensor:
            return values[torch.randint(len(values), (len(batch),), generator=generator)]

        own = draw()
        return DrawnBatch(batch, own, own if self.objective.same_m else draw())

    def of(self, drawn: DrawnBatch) -> list[Side]:
        """The steering directions of a batch: +m, and -m where the run trains both.

        Args:
            drawn: the batch.
        """
        sides = [self._side(drawn, ("positive", "negative"), 1, None)]
        if self.run.train.directions == "both":
            sides.append(self._side(drawn, ("negative", "positive"), -1, self.minus_delta))
        return sides

    def loss(self, side: Side, part: LossPart) -> Float[Tensor, " k"]:
        """The objective's loss of each pair in a part of a batch.

        Args:
            side: the direction.
            part: losses of some or all of its pairs.
        """
        chosen = [side.pairs[place] for place in part.places]
        own, *others = (self._answer(name, chosen, L) for name, L in zip(side.names, part.L, strict=True))
        bare_own = bare_other = None
        if self.bare is not None:
            bare_own, bare_other = (self._answer(name, chosen, self.bare[name][chosen]) for name in side.names)
        return self.objective.side_loss(own, others[0] if others else None, bare_own, bare_other)

    def _side(self, drawn: DrawnBatch, names: tuple[str, str], sign: int, delta: TrainingDelta | None) -> Side:
        both = self.objective.needs_other
        m = torch.stack([drawn.m_own, drawn.m_other] if both else [drawn.m_own])
        return Side(drawn.pairs, names if both else names[:1], sign * m, delta or _training_delta, self.dropout)

    def _answer(self, name: str, chosen: list[int], L: Tensor) -> AnswerLosses:
        T, P = torch.stack([self._T[name][chosen], self._P[chosen]]).to(L.device)  # one copy to the device
        return AnswerLosses(L, T, P)


def _training_delta(form: Form, x: Tensor, m: Strength) -> Tensor:
    dy: Tensor = form.training_delta(x, m)
    return dy
