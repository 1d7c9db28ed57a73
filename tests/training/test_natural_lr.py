"""Learning rates in natural units: they mean the same for every form, model and number of steps."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import pytest

from easyedit_split.config import TrainConfig
from easyedit_split.scoring.natural_unit import natural_unit
from easyedit_split.training.loop import train_intervention as train
from easyedit_split.training.loop import untrained
from easyedit_split.training.natural_lr import in_plain_units, plain_config, reach
from easyedit_split.types import ConfigError

from ..small import equal, run_config, world
from ..tiny import FAMILIES

FORMS = ("vector", "lora", "local_weight")


def test_the_learning_rate_is_the_path_over_the_schedules_sum() -> None:
    config = TrainConfig(unit="r", lr=2.0, epochs=3, batch_size=2)
    found = plain_config(config, s=13.0, pairs=8)  # 12 steps, whose factors fall from 1 to 1/12: 6.5 in sum
    assert found.unit == "m"
    assert found.lr == pytest.approx(2.0)
    assert dataclasses.replace(found, unit="r", lr=2.0) == config


@pytest.mark.parametrize("r", [lambda s: 3 * s, lambda s: s + 40 * s**2, lambda s: 1e-4 * s])
def test_the_path_is_where_r_first_comes_to_what_is_wanted(r: Callable[[float], float]) -> None:
    s = reach(r, 0.7)
    assert r(s) == pytest.approx(0.7, rel=1e-6)
    assert r(0.9 * s) < 0.65


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("form", ["vector", "local_weight"])
def test_one_step_carries_r_as_far_as_it_is_told(family: str, form: str) -> None:
    here = world(family)
    run = run_config(form, "sft", unit="r", lr=0.01, epochs=1, batch_size=5)
    trained, steps = train(here.model, here.template, here.rows, run)
    assert len(steps) == 1
    unit = natural_unit(here.model, here.rows, trained, pad_id=here.template.pad_id)
    assert unit.r_per_m == pytest.approx(0.01, rel=0.1)
    assert steps[0].lr != pytest.approx(0.01, rel=0.1)


@pytest.mark.parametrize("form", FORMS)
def test_no_form_goes_farther_than_it_is_told(form: str) -> None:
    here = world("llama")
    run = run_config(form, "split", unit="r", lr=0.8, epochs=6, batch_size=2)
    trained, _ = train(here.model, here.template, here.rows, run)
    assert 0.05 < natural_unit(here.model, here.rows, trained).r_per_m < 0.9


def test_many_steps_together_go_no_farther() -> None:
    here = world()
    for epochs in (2, 12):
        run = run_config("vector", "sft", unit="r", lr=0.3, epochs=epochs, batch_size=1)
        trained, _ = train(here.model, here.template, here.rows, run)
        assert 0.05 < natural_unit(here.model, here.rows, trained).r_per_m < 0.4


def test_in_plain_units_the_run_is_the_same_bits() -> None:
    here = world()
    run = run_config("lora", "split", unit="r", lr=0.5)
    start = untrained(here.model, here.template, run, "default")
    same = in_plain_units(train, start, here.model, here.template, here.rows, run, "default")
    assert same.train.unit == "m"
    natural, _ = train(here.model, here.template, here.rows, run)
    plainly, _ = train(here.model, here.template, here.rows, same)
    other, _ = train(here.model, here.template, here.rows, run_config("lora", "split", lr=0.5))
    assert equal(natural, plainly)
    assert not equal(natural, other)


def test_a_trial_that_changes_nothing_is_an_error() -> None:
    with pytest.raises(ConfigError, match="changed almost nothing"):
        reach(lambda s: 0.0, 0.5)
    with pytest.raises(ConfigError, match="changed almost nothing"):
        reach(lambda s: math.nan, 0.5)
