"""The training loop: fit an intervention's parameters by AdamW while the model's own stay frozen.

AdamW, gradient norm clipped, dropout on dy, accumulation that equals a larger batch, one m per pair and step drawn from
``steering_factors`` and shared by both answers, the learning rate of ``schedule``. Everything random derives from
(seed, concept). The model is frozen and in evaluation mode meanwhile and as before afterwards.

A loss, gradient or update that is not finite stops the run with its step and rows named; what is kept is the last state
whose loss and gradient were finite, see ``stopping``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn

from ..model.hooks import device_of, frozen
from ..scoring.engine.config import EngineConfig
from ..scoring.engine.scorer import scores_over_m
from ..steering.intervention import Intervention
from ..text.encode_pairs import EncodedPair
from ..text.prompt_tokens import Template
from ..types import ConfigError
from .answers import answers_for
from .closed_form import fit_closed_form
from .natural_lr import in_plain_units
from .objectives.base import FittedObjective, TrainedObjective
from .run_config import RunConfig
from .schedule import derive_seed, lr_factor, steps_in
from .sides import DrawnBatch, Sides
from .stopping import LastGood, Step, TrainingStopped

Progress: TypeAlias = Callable[[int, int, float], None]
"""Called after each step with (steps done, steps in all, loss)."""


def train_intervention(
    model: nn.Module,
    template: Template,
    pairs: Sequence[EncodedPair],
    run: RunConfig,
    *,
    concept: str = "default",
    progress: Progress | None = None,
    engine: EngineConfig | None = None,
) -> tuple[Intervention, tuple[Step, ...]]:
    """Train an intervention for one concept; returns it with its history (empty for closed forms).

    Args:
        model: a Hugging Face causal LM; its own parameters are not changed.
        template: how its tokenizer writes a prompt and its answer.
        pairs: encoded by ``template``; all of one concept.
        run: form, objective, sites and optimiser settings.
        concept: enters the seed, so that concepts differ but each repeats.
        progress: called after each optimiser step with (steps done, steps in all, loss).
        engine: how losses are computed; the engine's defaults where None.

    Raises:
        ConfigError: no pairs, or a configuration that does not fit the model.
        TrainingStopped: a loss, gradient or update was not finite.
    """
    if not pairs:
        raise ConfigError(f"concept {concept!r} has no pairs to train on")
    intervention = untrained(model, template, run, concept)
    objective = run.make_objective()
    with frozen(model):
        if isinstance(objective, FittedObjective):
            fit_closed_form(model, template.pad_id, pairs, intervention, objective)
            return intervention, ()
        if run.train.unit == "r":
            run = in_plain_units(train_intervention, intervention, model, template, pairs, run, concept)
        trained = cast(TrainedObjective, objective)
        loop = _Loop(model, template, pairs, run, trained, intervention, concept, engine or EngineConfig())
        try:
            return intervention, loop.run_all(progress)
        finally:
            intervention.zero_grad()


def untrained(model: nn.Module, template: Template, run: RunConfig, concept: str) -> Intervention:
    """The run's intervention for one concept before training: at zero, so that the model is unchanged.

    Args:
        model: a Hugging Face causal LM.
        template: how its tokenizer writes a prompt and its answer.
        run: form, sites and seed.
        concept: enters the seed.

    Raises:
        ConfigError: a configuration that does not fit the model.
    """
    generator = torch.Generator().manual_seed(derive_seed(run.train.seed, concept, "init"))
    return Intervention.create(
        model,
        run.form,
        run.layers,
        site=run.site,
        form_config=run.form_config,
        placement=run.placement,
        positions=run.positions,
        skip_prefix=run.skip_prefix,
        prefix_ids=template.prefix_ids,
        bos_id=template.bos_id,
        generator=generator,
    )


class _Loop:
    """One run of AdamW over one concept's pairs.

    Args:
        model: a Hugging Face causal LM.
        template: how its tokenizer writes a prompt and its answer.
        pairs: encoded pairs of one concept.
        run: form, objective, sites and optimiser settings.
        objective: turns answer losses into a loss.
        intervention: what is trained, in place.
        concept: enters the seeds.
        engine: settings of the engine that scores the answers.
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
        self.model, self.template, self.pairs, self.run = model, template, pairs, run
        self.objective, self.intervention, self.concept = objective, intervention, concept
        self.engine = engine
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
        self.answers = answers_for(model, pairs, intervention, template.pad_id, engine)
        self.sides = Sides(pairs, run, objective, self.noise, self._bare_losses() if objective.needs_bare else None)
        self.history: list[Step] = []
        self.good = LastGood(intervention)

    def run_all(self, progress: Progress | None) -> tuple[Step, ...]:
        """Train for all epochs.

        Args:
            progress: called after each optimiser step.
        """
        config = self.run.train
        for epoch in range(config.epochs):
            order = torch.randperm(len(self.pairs), generator=self.draws).tolist()
            batches = [order[i : i + config.batch_size] for i in range(0, len(order), config.batch_size)]
            for start in range(0, len(batches), config.gradient_accumulation_steps):
                self._step(epoch, batches[start : start + config.gradient_accumulation_steps])
                if progress is not None:
                    progress(len(self.history), self.total, self.history[-1].loss)
        return tuple(self.history)

    def _step(self, epoch: int, batches: list[list[int]]) -> None:
        """One optimiser step on the mean loss of its pairs, however they are divided into batches and launches."""
        count = sum(len(batch) for batch in batches)
        drawn = [self.sides.draw(batch, self.draws) for batch in batches]
        losses = self._gradients(drawn, count)
        everything = [i for batch in batches for i in batch]
        norm = nn.utils.clip_grad_norm_(self.intervention.parameters(), self.run.train.max_grad_norm)
        *values, size = torch.stack([*losses, norm.to(losses[0])]).tolist()  # the step's one read of the device
        for value, batch in zip(values, batches, strict=True):
            self._require_finite(value, "loss", batch)
        self._require_finite(size, "gradient", everything)
        lr = self.run.train.lr * lr_factor(len(self.history), self.run.train.warmup_steps, self.total)
        self._update(lr, everything)
        m = float(torch.cat([micro.m_own for micro in drawn]).mean())
        self.history.append(Step(len(self.history) + 1, epoch, lr, sum(values), size, m, count))

    def _gradients(self, drawn: Sequence[DrawnBatch], count: int) -> list[Tensor]:
        """Gradients of a step, and each batch's share of its loss; launches are halved when memory runs out."""
        noise = self.noise.get_state()
        while True:
            self.optimizer.zero_grad()
            try:
                return [self._backward(batch, count) for batch in drawn]
            except torch.OutOfMemoryError:
                if not self.answers.halve():
                    raise
            self.noise.set_state(noise)

    def _backward(self, drawn: DrawnBatch, count: int) -> Tensor:
        """Backpropagate a batch's share of a step's mean loss, and return that share as a tensor on the device."""
        total = []
        for side in self.sides.of(drawn):
            for part in self.answers.parts(side, whole=not self.objective.pairwise):
                loss = self.sides.loss(side, part).sum() / count
                loss.backward()  # type: ignore[no-untyped-call]
                total.append(loss.detach())
        return torch.stack(total).sum()

    def _update(self, lr: float, rows: list[int]) -> None:
        """Take one AdamW step; a parameter that is not finite afterwards stops the run at its last finite state."""
        self.good.keep(len(self.history))
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        try:
            self.optimizer.step()
        except RuntimeError as error:  # a factor of the update too large for the parameters' dtype
            raise self._stopped("update", f"impossible ({error})", rows) from error
        for parameter in self.intervention.parameters():
            if not bool(torch.isfinite(parameter).all()):
                raise self._stopped("update", "not finite", rows)

    def _bare_losses(self) -> dict[str, Tensor]:
        (scores,) = scores_over_m(
            self.model,
            self.pairs,
            self.intervention,
            [0.0],
            pad_id=self.template.pad_id,
            config=self.engine,
        )
        device = self.noise.device
        return {
            "positive": torch.from_numpy(scores.L_p).to(device),
            "negative": torch.from_numpy(scores.L_n).to(device),
        }

    def _require_finite(self, value: float, what: str, batch: list[int]) -> None:
        if not math.isfinite(value):
            raise self._stopped(what, str(value), batch)

    def _stopped(self, what: str, found: str, batch: list[int]) -> TrainingStopped:
        """The error that ends the run at this step, after the last finite state was restored."""
        self.good.restore()
        rows = ", ".join(str(self.pairs[i].index) for i in batch)
        kept = f"the state after step {self.good.steps}" if self.good.steps else "the state before training"
        return TrainingStopped(
            f"the {what} of step {len(self.history) + 1} of {self.total} (concept {self.concept!r}) is {found}; its "
            f"pairs are rows {rows}: {kept} is kept, the last whose loss and gradient were finite; try a smaller lr or "
            "smaller steering_factors",
            self.intervention,
            tuple(self.history[: self.good.steps]),
        )


__all__ = ["Progress", "Step", "TrainingStopped", "train_intervention", "untrained"]
