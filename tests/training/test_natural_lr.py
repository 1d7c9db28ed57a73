"""Learning rates in natural units: they mean the same for every form, model and number of steps."""

from __future__ import annotations

import dataclasses
import math

import pytest

from easyedit_split.config import TrainConfig
from easyedit_split.scoring.natural_unit import natural_unit
from easyedit_split.training.loop import train_intervention as train
from easyedit_split.training.natural_lr import TRIAL_LR, in_plain_units, plain
from easyedit_split.types import ConfigError

from ..small import equal, run_config, world
from ..tiny import FAMILIES

FORMS = ("vector", "lora", "local_weight")


def test_the_learning_rate_is_what_the_step_on_trial_says() -> None:
    config = TrainConfig(unit="r", lr=2.0, epochs=3, batch_size=2)
    found = plain(config, r_per_m=5 * TRIAL_LR, pairs=8)  # a step of lr moves r by 5 lr; 12 steps, half of them in sum
    assert found.unit == "m"
    assert found.lr == pytest.approx(2.0 / (5 * 6.5))
    assert dataclasses.replace(found, unit="r", lr=2.0) == config


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("form", FORMS)
def test_one_step_carries_r_as_far_as_it_is_told(family: str, form: str) -> None:
    here = world(family)
    run = run_config(form, "sft", unit="r", lr=0.01, epochs=1, batch_size=5)
    trained, steps = train(here.model, here.template, here.rows, run)
    assert len(steps) == 1
    unit = natural_unit(here.model, here.rows, trained, pad_id=here.template.pad_id)
    assert unit.r_per_m == pytest.approx(0.01, rel=0.02)
    assert steps[0].lr != pytest.approx(0.01, rel=0.02)


def test_many_steps_together_go_no_farther() -> None:
    here = world()
    for epochs in (2, 12):
        run = run_config("vector", "sft", unit="r", lr=0.3, epochs=epochs, batch_size=1)
        trained, _ = train(here.model, here.template, here.rows, run)
        assert 0.05 < natural_unit(here.model, here.rows, trained).r_per_m < 0.4


def test_in_plain_units_the_run_is_the_same_bits() -> None:
    here = world()
    run = run_config("lora", "split", unit="r", lr=0.5)
    same = in_plain_units(train, here.model, here.template, here.rows, run, "default")
    assert same.train.unit == "m"
    natural, _ = train(here.model, here.template, here.rows, run)
    plainly, _ = train(here.model, here.template, here.rows, same)
    other, _ = train(here.model, here.template, here.rows, run_config("lora", "split", lr=0.5))
    assert equal(natural, plainly)
    assert not equal(natural, other)


@pytest.mark.parametrize("moved", [0.0, math.nan])
def test_a_trial_that_changes_nothing_is_an_error(moved: float) -> None:
    with pytest.raises(ConfigError, match="changed nothing"):
        plain(TrainConfig(unit="r"), moved, pairs=4)
