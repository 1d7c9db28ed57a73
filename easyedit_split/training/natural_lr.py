"""AdamW's learning rate from one in natural units: what moves |dh| / |h| is what a step is worth on this model.

    lr = lr_r / (s sum_k f_k)          s = r moved at m = 1 by one step, per unit of lr;  f_k the schedule's factors

AdamW's first step moves every parameter by its learning rate whatever the gradient's size, so s depends on the model's
widths, on |h| and on the form, and is measured: one step on the first batch, from the bare model, with a tiny lr. It
is thrown away again. lr_r is how far the steps of the run could carry |dh| / |h| at m = 1 if all pointed one way,
so it means the same for any number of steps, any form and any model.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from torch import nn

from ..config import TrainConfig
from ..scoring.natural_unit import natural_unit
from ..steering.intervention import Intervention
from ..text.encode import EncodedPair, Template
from ..types import ConfigError
from .run_config import RunConfig
from .schedule import lr_factor, steps_in

logger = logging.getLogger(__name__)

TRIAL_LR = 1e-4
"""Small, so that the trial's dh is linear in it."""


@runtime_checkable
class Train(Protocol):
    """``loop.train_intervention``, which stands above this module."""

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
    model: nn.Module,
    template: Template,
    pairs: Sequence[EncodedPair],
    run: RunConfig,
    concept: str,
) -> RunConfig:
    """A run in natural units as one in plain units.

    Args:
        train: makes the step on trial.
        model: a Hugging Face causal LM.
        template: how its tokenizer writes a prompt and its answer.
        pairs: encoded pairs of one concept.
        run: its ``train`` is in natural units.
        concept: enters the seed.

    Raises:
        ConfigError: the trial's step changed nothing.
        TrainingStopped: its loss or gradient was not finite.
    """
    few = pairs[: run.train.batch_size * run.train.gradient_accumulation_steps]
    trial = dataclasses.replace(
        run.train, unit="m", lr=TRIAL_LR, epochs=1, batch_size=len(few), gradient_accumulation_steps=1, warmup_steps=0,
        dropout=0.0,
    )  # fmt: skip
    tried, _ = train(model, template, few, dataclasses.replace(run, train=trial), concept=concept)
    moved = natural_unit(model, few, tried, pad_id=template.pad_id).r_per_m
    found = plain_config(run.train, moved, len(pairs))
    logger.info("%s: an lr of %g in r is %.3g here", concept, run.train.lr, found.lr)
    return dataclasses.replace(run, train=found)


def plain_config(config: TrainConfig, r_per_m: float, pairs: int) -> TrainConfig:
    """The run's settings in plain units.

    Args:
        config: in natural units.
        r_per_m: |dh| / |h| at m = 1 after the trial's step.
        pairs: that the run trains on.

    Raises:
        ConfigError: the trial's step changed nothing, so no learning rate follows from it.
    """
    if not r_per_m > 0:
        raise ConfigError(
            "one training step on trial changed nothing, so a learning rate in natural units means nothing here: give "
            "train.unit=m and a plain train.lr"
        )
    total = steps_in(config, pairs)
    path = sum(lr_factor(step, config.warmup_steps, total) for step in range(total))
    return dataclasses.replace(config, unit="m", lr=config.lr / (r_per_m / TRIAL_LR * path))
