"""The training loop: fit an intervention's parameters by AdamW while the model's own stay frozen.

AdamW, gradient norm clipped, dropout on dy, accumulation that equals a larger batch, one m per pair and step drawn from
``steering_factors`` and shared by both answers, the learning rate of ``schedule``. Everything random derives from
(seed, concept). The model is frozen and in evaluation mode meanwhile and as before afterwards.

A loss, gradient or update that is not finite stops the run with its step and rows named; what is kept is the last state
whose loss and gradient were finite, see ``stopping``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn

from ..model.hooks import frozen
from ..scoring.engine.config import EngineConfig
from ..steering.intervention import Intervention
from ..text.encode_pairs import EncodedPair
from ..text.own_openings import say_hidden_system
from ..text.prompt_tokens import Template
from ..types import ConfigError
from .answers import AnswerSource, answers_for
from .checkpoint import Checkpoints, StepGivenUp
from .closed_form import fit_closed_form
from .gradients import gradients_on
from .natural_lr import in_plain_units
from .objectives.base import FittedObjective, TrainedObjective
from .one_run import DrawnStep, TrainingRun
from .run_config import RunConfig
from .schedule import derive_seed
from .sides import DrawnBatch
from .stopping import Step, TrainingStopped

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
    checkpoints: Checkpoints | None = None,
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
        checkpoints: the run's checkpoint file; None where none is kept.

    Raises:
        ConfigError: no pairs, or a configuration that does not fit the model.
        TrainingStopped: a loss, gradient or update was not finite.
    """
    with gradients_on(model), frozen(model):
        started = start_run(model, template, pairs, run, concept, engine)
        if not isinstance(started, TrainingRun):
            return started, ()
        return started.intervention, train_started(
            model, template, started, engine or EngineConfig(), progress, checkpoints
        )


def train_started(
    model: nn.Module,
    template: Template,
    run: TrainingRun,
    engine: EngineConfig,
    progress: Progress | None = None,
    checkpoints: Checkpoints | None = None,
    key: str = "",
) -> tuple[Step, ...]:
    """All steps of a run, alone; its history.

    Args:
        model: frozen and in evaluation mode.
        template: how its tokenizer writes a prompt and its answer.
        run: before its first step.
        engine: how losses are computed.
        progress: called after each optimiser step.
        checkpoints: the run's checkpoint file; None where none is kept.
        key: by which the run is known there; its concept where empty.

    Raises:
        TrainingStopped: a loss, gradient or update was not finite.
    """
    answers = answers_for(model, run.pairs, run.intervention, template.pad_id, engine)
    try:
        with answers.at_work(), checkpoints.at_work() if checkpoints else nullcontext():
            return _Loop(run, answers).run_all(progress, checkpoints, key or run.concept)
    finally:
        run.intervention.zero_grad()


def start_run(
    model: nn.Module,
    template: Template,
    pairs: Sequence[EncodedPair],
    run: RunConfig,
    concept: str,
    engine: EngineConfig | None = None,
) -> TrainingRun | Intervention:
    """A run before its first step; of a closed form its result, which has no steps.

    Args:
        model: a Hugging Face causal LM, frozen.
        template: how its tokenizer writes a prompt and its answer.
        pairs: encoded by ``template``; all of one concept.
        run: form, objective, sites and optimiser settings.
        concept: enters the seeds.
        engine: how losses are computed; the engine's defaults where None.

    Raises:
        ConfigError: no pairs, or a configuration that does not fit the model.
        TrainingStopped: a trial step's loss or gradient was not finite.
    """
    if not pairs:
        raise ConfigError(f"concept {concept!r} has no pairs to train on")
    intervention = untrained(model, template, run, concept)
    objective = run.make_objective()
    if isinstance(objective, FittedObjective):
        fit_closed_form(model, template.pad_id, pairs, intervention, objective)
        return intervention
    if run.train.unit == "r":
        run = in_plain_units(train_intervention, intervention, model, template, pairs, run, concept)
    trained = cast(TrainedObjective, objective)
    return TrainingRun(model, template, pairs, run, trained, intervention, concept, engine or EngineConfig())


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
    if run.skip_prefix:
        say_hidden_system(template)
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
        openings=template.openings,
        generator=generator,
    )


class _Loop:
    """The steps of a run alone.

    Args:
        run: what is trained.
        answers: gives its losses.
    """

    def __init__(self, run: TrainingRun, answers: AnswerSource) -> None:
        self.run, self.answers = run, answers

    def run_all(self, progress: Progress | None, checkpoints: Checkpoints | None, key: str) -> tuple[Step, ...]:
        """Train for all epochs.

        Args:
            progress: called after each optimiser step.
            checkpoints: the run's checkpoint file.
            key: by which the run is known there.
        """
        steps = self.run.steps()
        self.run.passed(steps, checkpoints.resume(key, self.run) if checkpoints else 0)
        for drawn in steps:
            noise = self.run.noise.get_state()
            try:
                losses = self._gradients(drawn, checkpoints)
            except StepGivenUp:
                self.run.noise.set_state(noise)
                cast(Checkpoints, checkpoints).stop({key: self.run})
            self.run.conclude(drawn, self.run.to_read(losses).tolist())  # the step's one read of the device
            if progress is not None:
                progress(len(self.run.history), self.run.total, self.run.history[-1].loss)
            if checkpoints is not None:
                checkpoints.after_step({key: self.run})
        return self.run.finish()

    def _gradients(self, drawn: DrawnStep, checkpoints: Checkpoints | None) -> list[Tensor]:
        """Gradients of a step and each batch's share of its loss; taken in smaller launches where memory is short."""
        noise = self.run.noise.get_state()
        while True:
            self.run.optimizer.zero_grad()
            try:
                return [self._backward(drawn, batch, checkpoints) for batch in drawn.strengths]
            except torch.OutOfMemoryError:
                if not self.answers.halve():
                    raise
            self.run.noise.set_state(noise)

    def _backward(self, drawn: DrawnStep, batch: DrawnBatch, checkpoints: Checkpoints | None) -> Tensor:
        """Add the gradients of a batch's share of a step's mean; its loss, not yet read."""
        total = []
        for side in self.run.sides.of(batch):
            for part in self.answers.parts(side, whole=not self.run.objective.pairwise):
                loss = self.run.share(drawn, side, part)
                loss.backward()  # type: ignore[no-untyped-call]
                total.append(loss.detach())
                if checkpoints is not None:
                    checkpoints.within_step()
        return torch.stack(total).sum()


__all__ = ["Progress", "Step", "TrainingStopped", "train_intervention", "untrained"]
