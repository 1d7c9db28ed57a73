"""AdamW's learning rate derived from a target relative change |dh| / |h|, by two trial steps on this model and form.

    theta(s) = theta_0 + s D       D: each parameter's direction in two trial steps, every entry about +-1
    r(s) = |dh| / |h| at m = 1     lr = s / sum_k f_k  with  r(s) = lr_r;  f_k the schedule's factors

AdamW moves a parameter by about its learning rate whatever the gradient's size, so s = lr sum f is how far the steps of
a run could go if all pointed one way, and what r that is depends on the model's widths, on |h| and on the form: LoRA's
product of two grows with s squared. Two steps on the first batch, from the bare model and with a tiny lr, tell the
directions (the second, because LoRA's A has no gradient while B is 0); they are thrown away again. lr_r means the same
for any number of steps, any form and any model.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from ..config import TrainConfig
from ..scoring.natural_unit import steered_values, units_of
from ..steering.intervention import Intervention
from ..text.encode_pairs import EncodedPair
from ..text.prompt_tokens import Template
from ..types import ConfigError
from .run_config import RunConfig
from .schedule import lr_factor, steps_in

logger = logging.getLogger(__name__)

TRIAL_LR = 1e-4
FARTHEST = 1e6  # s beyond which nothing is looked for
_HALVINGS = 40


@runtime_checkable
class Train(Protocol):
    """Interface of ``loop.train_intervention``, which the training loop passes in."""

    def __call__(
        self, model: nn.Module, template: Template, pairs: Sequence[EncodedPair], run: RunConfig, *, concept: str
    ) -> tuple[Intervention, Any]:
        """Train an intervention on pairs.

        Args:
            model: a Hugging Face causal LM.
            template: how its tokenizer writes a prompt and its answer.
            pairs: encoded pairs of one concept.
            run: form, objective, sites and optimiser settings.
            concept: enters the seed.
        """
        ...


def in_plain_units(
    train: Train,
    start: Intervention,
    model: nn.Module,
    template: Template,
    pairs: Sequence[EncodedPair],
    run: RunConfig,
    concept: str,
) -> RunConfig:
    """Convert a run whose learning rate is a relative change |dh| / |h| to one with AdamW's plain learning rate.

    Args:
        train: takes the trial steps.
        start: where training begins; its parameters are left as they are.
        model: the bare model.
        template: that encoded the pairs.
        pairs: of the run.
        run: its ``train`` is in natural units.
        concept: enters the seed.

    Raises:
        ConfigError: the trial steps changed nothing.
        TrainingStopped: a loss or gradient of theirs was not finite.
    """
    few = pairs[: run.train.batch_size * run.train.gradient_accumulation_steps]
    trial = dataclasses.replace(
        run.train, unit="m", lr=TRIAL_LR, epochs=2, batch_size=len(few), gradient_accumulation_steps=1, warmup_steps=0,
        dropout=0.0,
    )  # fmt: skip
    tried, _ = train(model, template, few, dataclasses.replace(run, train=trial), concept=concept)
    values = steered_values(model, few, start, pad_id=template.pad_id)
    moved = _Moved(start, tried)

    def r(s: float) -> float:
        return max(unit.r_per_m for unit in units_of(model, values, moved.by(s)).values())

    found = plain_config(run.train, reach(r, run.train.lr), len(pairs))
    logger.info(
        "%s: a learning rate of %g in units of r = |dh| / |h| is lr = %.3g for AdamW here",
        concept,
        run.train.lr,
        found.lr,
    )
    return dataclasses.replace(run, train=found)


class _Moved:
    """An intervention displaced by ``s`` along the trial steps' directions from the start of training.

    Args:
        start: where training begins.
        tried: where the trial's steps ended; it is what is moved.
    """

    @torch.no_grad()
    def __init__(self, start: Intervention, tried: Intervention) -> None:
        self.start = [parameter.detach().clone() for parameter in start.parameters()]
        ends = [parameter.detach() for parameter in tried.parameters()]
        steps = [end - begin for end, begin in zip(ends, self.start, strict=True)]
        self.directions = [step / step.abs().max().clamp(min=torch.finfo(step.dtype).tiny) for step in steps]
        self.intervention = tried

    @torch.no_grad()
    def by(self, s: float) -> Intervention:
        """Set the intervention's parameters to the displacement ``s``.

        Args:
            s: largest change of any parameter, in parameters' own unit.
        """
        for parameter, begin, direction in zip(
            self.intervention.parameters(), self.start, self.directions, strict=True
        ):
            parameter.copy_(begin + s * direction)
        return self.intervention


def reach(r: Callable[[float], float], wanted: float) -> float:
    """The smallest s at which ``r(s)`` reaches ``wanted``, by doubling and bisection.

    Args:
        r: 0 at 0, and growing.
        wanted: positive.

    Raises:
        ConfigError: r stays below ``wanted`` however far s goes.
    """
    high = TRIAL_LR
    while not r(high) >= wanted:
        high *= 2
        if high > FARTHEST:
            raise ConfigError(
                "the trial training steps changed almost nothing, so a learning rate in units of r = |dh| / |h| is "
                "undefined: set train.unit=m and a plain train.lr"
            )
    low = 0.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if r(middle) >= wanted else (middle, high)
    return high


def plain_config(config: TrainConfig, s: float, pairs: int) -> TrainConfig:
    """Convert a run's learning rate to AdamW's plain one, given the total displacement s of its steps.

    Args:
        config: in natural units.
        s: how far its steps go together.
        pairs: that the run trains on.
    """
    total = steps_in(config, pairs)
    path = sum(lr_factor(step, config.warmup_steps, total) for step in range(total))
    return dataclasses.replace(config, unit="m", lr=s / path)
