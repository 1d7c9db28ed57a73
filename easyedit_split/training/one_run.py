"""One run of AdamW over one concept's pairs, step by step, whoever computes the losses.

    draw batches and m -> losses of each side -> gradients -> clip -> one read of the device -> update

``loop`` takes the steps of a single run; ``together`` those of many at once, from losses of shared launches. What a run
draws, clips, schedules and remembers is its own, so it becomes what it becomes alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..model.hooks import device_of
from ..scoring.engine.config import EngineConfig
from ..scoring.engine.scorer import scores_over_m
from ..steering.intervention import Intervention
from ..text.encode_pairs import EncodedPair
from ..text.prompt_tokens import Template
from ..types import ConfigError
from .answers import LossPart, Side
from .objectives.base import TrainedObjective
from .reach import Reach
from .run_config import RunConfig
from .schedule import derive_seed, lr_factor, steps_in
from .sides import DrawnBatch, Sides
from .stopping import LastGood, Step, TrainingStopped

NO_MEMORY = "DefaultCPUAllocator"
"""In the message of a RuntimeError where the CPU's memory is at its end; a GPU's has a class of its own."""

Batches = list[list[int]]
"""Indices of the pairs of each batch of one optimiser step."""


@dataclass(frozen=True, slots=True)
class DrawnStep:
    """Batch and factors of one optimiser step.

    Attributes:
        epoch: 0-based.
        batches: pairs of each batch.
        strengths: m of each pair of each batch.
    """

    epoch: int
    batches: Batches
    strengths: tuple[DrawnBatch, ...]

    @property
    def pairs(self) -> list[int]:
        """Indices of all pairs, in order."""
        return [i for batch in self.batches for i in batch]


class TrainingRun:
    """State of one run: parameters, optimiser, draws, history.

    Args:
        model: a Hugging Face causal LM, frozen.
        template: how its tokenizer writes a prompt and its answer.
        pairs: encoded pairs of one concept.
        run: form, objective, sites and optimiser settings, in plain units.
        objective: turns answer losses into a loss.
        intervention: what is trained, in place.
        concept: enters the seeds.
        engine: settings of the engine that scores the bare model.

    Raises:
        ConfigError: more steps of warm-up than steps.
    """

    def __init__(
        self,
        model: nn.Module,
        template: Template,
        pairs: Sequence[EncodedPair],
        run: RunConfig,
        objective: TrainedObjective,
        intervention: Intervention,
        concept: str,
        engine: EngineConfig,
    ) -> None:
        self.pairs, self.run, self.objective = pairs, run, objective
        self.intervention, self.concept = intervention, concept
        self.draws = torch.Generator().manual_seed(derive_seed(run.train.seed, concept, "draws"))
        self.noise = torch.Generator(device_of(model)).manual_seed(derive_seed(run.train.seed, concept, "dropout"))
        self.total = steps_in(run.train, len(pairs))
        if run.train.warmup_steps >= self.total:
            raise ConfigError(
                f"warmup_steps is {run.train.warmup_steps}, but concept {concept!r} trains for {self.total} steps in "
                "all: choose fewer"
            )
        self.optimizer = torch.optim.AdamW(
            intervention.parameters(), lr=run.train.lr, weight_decay=run.train.weight_decay
        )
        bare = _bare_losses(model, template, pairs, intervention, engine) if objective.needs_bare else None
        limit, largest = objective.reach, max(run.train.steering_factors)
        reach = None if limit is None else Reach(limit, largest, model, pairs, intervention, template.pad_id)
        self.sides = Sides(pairs, run, objective, self.noise, bare, reach)
        self.history: list[Step] = []
        self.good = LastGood(intervention)
        self._updated: DrawnStep | None = None

    def steps(self) -> Iterator[DrawnStep]:
        """Batches and factors of the optimiser steps, drawn lazily."""
        config = self.run.train
        for epoch in range(config.epochs):
            order = torch.randperm(len(self.pairs), generator=self.draws).tolist()
            batches = [order[i : i + config.batch_size] for i in range(0, len(order), config.batch_size)]
            for start in range(0, len(batches), config.gradient_accumulation_steps):
                chosen = batches[start : start + config.gradient_accumulation_steps]
                yield DrawnStep(epoch, chosen, tuple(self.sides.draw(batch, self.draws) for batch in chosen))

    def passed(self, steps: Iterator[DrawnStep], count: int) -> None:
        """Draw the steps that were taken before an interruption, without taking them.

        Args:
            steps: of this run, from its first.
            count: how many were taken.
        """
        for _ in range(count):
            self._updated = next(steps)

    def share(self, drawn: DrawnStep, side: Side, part: LossPart) -> Tensor:
        """A part's share of the mean that a step minimises.

        Args:
            drawn: the step's.
            side: the direction.
            part: losses of some or all of its pairs.
        """
        return self.sides.loss(side, part).sum() / len(drawn.pairs)

    def to_read(self, losses: Sequence[Tensor]) -> Tensor:
        """Clip the gradient; return losses, gradient norm and whether all is finite, in one tensor on the device.

        Args:
            losses: each batch's share of the step's loss.
        """
        norm = nn.utils.clip_grad_norm_(self.intervention.parameters(), self.run.train.max_grad_norm)
        return torch.stack([*losses, norm.to(losses[0]), self._finite().to(losses[0])])

    def conclude(self, drawn: DrawnStep, read: Sequence[float]) -> None:
        """Take the step, or stop the run where a value is not finite.

        Args:
            drawn: the step's.
            read: ``to_read`` as numbers.

        Raises:
            TrainingStopped: a loss, gradient or update was not finite; what is kept is the last good state.
        """
        *values, size, finite = read
        self._require_updated(finite)
        for value, batch in zip(values, drawn.batches, strict=True):
            self._require_finite(value, "loss", batch)
        self._require_finite(size, "gradient", drawn.pairs)
        lr = self.run.train.lr * lr_factor(len(self.history), self.run.train.warmup_steps, self.total)
        self._update(lr, drawn)
        m = float(torch.cat([batch.m_own for batch in drawn.strengths]).mean())
        step = Step(len(self.history) + 1, drawn.epoch, lr, sum(values), size, m, len(drawn.pairs))
        self.history.append(step)

    def finish(self) -> tuple[Step, ...]:
        """The history of all steps.

        Raises:
            TrainingStopped: the last update was not finite.
        """
        self._require_updated(float(self._finite()))
        return tuple(self.history)

    def _update(self, lr: float, drawn: DrawnStep) -> None:
        """Take one AdamW step; whether its parameters are finite is read with the next step's losses."""
        self.good.keep(len(self.history))
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        try:
            self.optimizer.step()
        except RuntimeError as error:
            if isinstance(error, torch.OutOfMemoryError) or NO_MEMORY in str(error):  # says nothing of the run
                raise
            # a factor of the update is too large for the parameters' dtype
            raise self._stopped("update", f"impossible ({error})", drawn.pairs) from error
        self._updated = drawn

    def _finite(self) -> Tensor:
        """Whether all parameters are finite, as a tensor that nobody has read yet."""
        return torch.stack([torch.isfinite(parameter).all() for parameter in self.intervention.parameters()]).all()

    def _require_updated(self, finite: float) -> None:
        if self._updated is not None and not finite:
            raise self._stopped("update", "not finite", self._updated.pairs, before=1)

    def _require_finite(self, value: float, what: str, batch: Sequence[int]) -> None:
        if not math.isfinite(value):
            raise self._stopped(what, str(value), batch)

    def _stopped(self, what: str, found: str, batch: Sequence[int], before: int = 0) -> TrainingStopped:
        """The error for the step under way, or one ``before`` it, once the last good state is back in place."""
        self.good.restore()
        rows = ", ".join(str(self.pairs[i].index) for i in batch)
        kept = f"the state after step {self.good.steps}" if self.good.steps else "the state before training"
        return TrainingStopped(
            f"the {what} of step {len(self.history) + 1 - before} of {self.total} (concept {self.concept!r}) is "
            f"{found}; its pairs are rows {rows}: {kept} is kept, the last whose loss and gradient were finite; try a "
            "smaller lr or smaller steering_factors",
            self.intervention,
            tuple(self.history[: self.good.steps]),
        )


def _bare_losses(
    model: nn.Module,
    template: Template,
    pairs: Sequence[EncodedPair],
    intervention: Intervention,
    engine: EngineConfig,
) -> dict[str, Tensor]:
    (scores,) = scores_over_m(model, pairs, intervention, [0.0], pad_id=template.pad_id, config=engine)
    device = device_of(model)
    return {
        "positive": torch.from_numpy(scores.L_p).to(device),
        "negative": torch.from_numpy(scores.L_n).to(device),
    }
