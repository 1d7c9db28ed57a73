"""The only optimisation loop: fit an intervention's parameters while the model stays as it is.

AdamW, gradient norm clipped, dropout on dy, accumulation that equals a larger batch, one m per pair and step drawn from
``steering_factors`` and shared by both answers, the learning rate of ``schedule``. Everything random derives from
(seed, concept). The model is frozen and in evaluation mode meanwhile and as before afterwards.

A loss, gradient or update that is not finite stops the run with its step and rows named; what is kept is the last state
whose loss and gradient were finite, see ``stopping``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn

from ..model.hooks import device_of, frozen
from ..scoring.score import row_losses, score
from ..steering.attach import Delta
from ..steering.forms.base import Form, Strength
from ..steering.intervention import Intervention
from ..text.batching import Row, collate
from ..text.encode import EncodedPair, Template
from ..types import ConfigError
from .closed_form import fit_closed_form
from .objectives.base import AnswerLosses, FittedObjective, TrainedObjective, TrainingDelta
from .run_config import RunConfig
from .schedule import derive_seed, lr_factor, steps_in
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
) -> tuple[Intervention, tuple[Step, ...]]:
    """Train an intervention for one concept; returns it with its history (empty for closed forms).

    Args:
        model: a Hugging Face causal LM; its own parameters are not changed.
        template: how its tokenizer writes a prompt and its answer.
        pairs: encoded by ``template``; all of one concept.
        run: form, objective, sites and optimiser settings.
        concept: enters the seed, so that concepts differ but each repeats.
        progress: called after each optimiser step with (steps done, steps in all, loss).

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
        loop = _Loop(model, template, pairs, run, cast(TrainedObjective, objective), intervention, concept)
        try:
            return intervention, loop.run_all(progress)
        finally:
            intervention.zero_grad()


def untrained(model: nn.Module, template: Template, run: RunConfig, concept: str) -> Intervention:
    """The run's intervention for one concept, as its training starts: at the bare model.

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


@dataclass(frozen=True, slots=True)
class _Micro:
    """One forward pass's worth of pairs, with the m of each.

    Attributes:
        pairs: the pairs.
        m_own: ``[n]`` m for the answer that the direction makes likely.
        m_other: ``[n]`` m for the other answer.
    """

    pairs: list[int]
    m_own: Tensor
    m_other: Tensor


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
    ) -> None:
        self.model, self.template, self.pairs, self.run = model, template, pairs, run
        self.objective, self.intervention, self.concept = objective, intervention, concept
        self.device = device_of(model)
        self.draws = torch.Generator().manual_seed(derive_seed(run.train.seed, concept, "draws"))
        self.noise = torch.Generator(self.device).manual_seed(derive_seed(run.train.seed, concept, "dropout"))
        self.minus_delta = run.minus_delta() if run.train.directions == "both" else None
        self.total = steps_in(run.train, len(pairs))
        if run.train.warmup_steps >= self.total:
            raise ConfigError(
                f"warmup_steps is {run.train.warmup_steps}, but concept {concept!r} trains for {self.total} steps in "
                "all: choose fewer"
            )
        self.optimizer = torch.optim.AdamW(
            intervention.parameters(), lr=run.train.lr, weight_decay=run.train.weight_decay
        )
        self.bare = self._bare_losses() if objective.needs_bare else None
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
        """One optimiser step: the mean over all its pairs, however they are split into batches."""
        count = sum(len(batch) for batch in batches)
        self.optimizer.zero_grad()
        loss, drawn = 0.0, []
        for batch in batches:
            micro = self._draw(batch)
            total = self._loss(micro).sum() / count
            self._require_finite(total, "loss", batch)
            total.backward()  # type: ignore[no-untyped-call]
            loss += total.item()
            drawn.append(micro.m_own)
        everything = [i for batch in batches for i in batch]
        norm = nn.utils.clip_grad_norm_(self.intervention.parameters(), self.run.train.max_grad_norm)
        self._require_finite(norm, "gradient", everything)
        lr = self.run.train.lr * lr_factor(len(self.history), self.run.train.warmup_steps, self.total)
        self._update(lr, everything)
        m = float(torch.cat(drawn).mean())
        self.history.append(Step(len(self.history) + 1, epoch, lr, loss, float(norm), m, count))

    def _update(self, lr: float, rows: list[int]) -> None:
        """AdamW's step from a state that is good, to one that at least can be written down."""
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

    def _draw(self, batch: list[int]) -> _Micro:
        values = torch.tensor(self.run.train.steering_factors, dtype=torch.float64)

        def draw() -> Tensor:
            return values[torch.randint(len(values), (len(batch),), generator=self.draws)]

        own = draw()
        return _Micro(batch, own, own if self.objective.same_m else draw())

    def _loss(self, micro: _Micro) -> Tensor:
        """Loss of each pair of a batch, both directions added."""
        loss = self._side(micro, sign=1, delta=None)
        if self.run.train.directions == "both":
            loss = loss + self._side(micro, sign=-1, delta=self.minus_delta)
        return loss

    def _side(self, micro: _Micro, *, sign: int, delta: TrainingDelta | None) -> Tensor:
        pairs = [self.pairs[i] for i in micro.pairs]
        own, other = ("positive", "negative") if sign > 0 else ("negative", "positive")
        names = (own, other) if self.objective.needs_other else (own,)
        rows = [Row(pair.prompt, getattr(pair, name), pair.prefix_length) for name in names for pair in pairs]
        m = sign * torch.cat([micro.m_own, micro.m_other] if len(names) == 2 else [micro.m_own])
        batch = collate(rows, pad_id=self.template.pad_id).to(self.device)
        losses = row_losses(self.model, batch, self.intervention, m.to(self.device), delta=self._dropped(delta))
        sides = _split(losses, batch.lengths - batch.prompt_lengths, batch.prompt_lengths, len(pairs))
        bare_own = bare_other = None
        if self.bare is not None:
            chosen = torch.tensor(micro.pairs, device=self.device)
            bare_own, bare_other = (
                AnswerLosses(self.bare[name][chosen], side.T, side.P)
                for name, side in zip((own, other), sides, strict=True)
            )
        return self.objective.side_loss(sides[0], sides[1] if len(sides) > 1 else None, bare_own, bare_other)

    def _dropped(self, delta: TrainingDelta | None) -> Delta:
        """The change dy under dropout: each element is 0 with probability p, else scaled by 1 / (1 - p)."""
        keep = 1 - self.run.train.dropout

        def change(form: Form, x: Tensor, m: Strength) -> Tensor:
            dy: Tensor = form.delta(x, m) if delta is None else delta(form, x, m)
            if keep == 1:
                return dy
            kept = torch.empty(dy.shape, device=self.device).bernoulli_(keep, generator=self.noise)
            return dy * kept.to(dy) / keep

        return change

    def _bare_losses(self) -> dict[str, Tensor]:
        scores = score(self.model, self.pairs, pad_id=self.template.pad_id)
        return {
            "positive": torch.from_numpy(scores.L_p).to(self.device),
            "negative": torch.from_numpy(scores.L_n).to(self.device),
        }

    def _require_finite(self, value: Tensor, what: str, batch: list[int]) -> None:
        if not bool(torch.isfinite(value)):
            raise self._stopped(what, str(value.item()), batch)

    def _stopped(self, what: str, found: str, batch: list[int]) -> TrainingStopped:
        """The error for this step, once the last good state is back in place."""
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


def _split(losses: Tensor, T: Tensor, P: Tensor, n: int) -> list[AnswerLosses]:
    """Losses of stacked rows back into one ``AnswerLosses`` per answer."""
    return [AnswerLosses(losses[i : i + n], T[i : i + n], P[i : i + n]) for i in range(0, len(losses), n)]


__all__ = ["Progress", "Step", "TrainingStopped", "train_intervention", "untrained"]
