"""Steps and learning rates are exact, seeds are stable and apart, runs repeat bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from easyedit_split.training.schedule import derive_seed, lr_factor, steps_in

from ..small import PAIRS, equal, run_config, world
from .training_runs import ALL, trained

# --- steps and learning rates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("batch_size", "accumulation", "steps"),
    [(1, 1, 15), (2, 1, 9), (2, 2, 6), (2, 3, 3), (2, 50, 3), (4, 1, 6), (5, 1, 3), (99, 1, 3)],
)
def test_number_of_steps_is_exact(batch_size: int, accumulation: int, steps: int) -> None:
    here = world(dtype=torch.float32)
    run = run_config(epochs=3, batch_size=batch_size, gradient_accumulation_steps=accumulation)
    seen: list[tuple[int, int]] = []
    _, history = trained(here, run, progress=lambda done, total, loss: seen.append((done, total)))
    assert [step.step for step in history] == list(range(1, steps + 1))
    assert seen == [(k + 1, steps) for k in range(steps)]
    assert steps_in(run.train, ALL) == steps
    assert sum(step.pairs for step in history) == 3 * ALL  # no partial batch is dropped, none counted twice
    assert [step.epoch for step in history] == sorted(step.epoch for step in history)
    assert [step.lr for step in history] == pytest.approx([0.05 * (steps - k) / steps for k in range(steps)])


@pytest.mark.parametrize(("warmup", "total"), [(0, 1), (0, 7), (1, 7), (3, 7), (6, 7)])
def test_every_step_trains_and_the_next_would_not(warmup: int, total: int) -> None:
    rates = [lr_factor(k, warmup, total) for k in range(total)]
    assert all(0 < rate <= 1 for rate in rates)
    assert max(rates) == rates[warmup] == 1
    assert lr_factor(total, warmup, total) == 0
    assert np.allclose(np.diff(rates[: warmup + 1]), 1 / (warmup + 1))
    assert np.allclose(np.diff(rates[warmup:]), -1 / (total - warmup))


# --- repeatable ------------------------------------------------------------------------------------------------------


BUSY: dict[str, Any] = {"dropout": 0.1, "steering_factors": (0.5, 1.0, 2.0), "directions": "both"}


@pytest.mark.parametrize("form", ["vector", "lora", "local_weight"])
def test_a_run_repeats_bit_for_bit(form: str) -> None:
    run = run_config(form, **BUSY)
    here, there = world(), world()
    torch.manual_seed(0)
    first, of_first = trained(here, run)
    torch.manual_seed(999)  # the global generator plays no part
    state = torch.get_rng_state()
    again, of_again = trained(there, run)
    assert torch.equal(torch.get_rng_state(), state)
    assert equal(first, again)
    assert of_first == of_again
    for other in (run_config(form, **BUSY, seed=1), run_config(form, **{**BUSY, "dropout": 0.2})):
        assert not equal(first, trained(world(), other)[0])


def test_concepts_differ_and_each_repeats_whatever_comes_before() -> None:
    here, run = world(), run_config("lora", **BUSY)
    fear = trained(here, run, concept="fear")[0]
    joy = trained(here, run, concept="joy")[0]
    assert equal(trained(here, run, concept="joy")[0], joy)
    assert equal(trained(here, run, concept="fear")[0], fear)
    assert not equal(fear, joy)


@pytest.mark.parametrize("dropout", [0.5, 0.0])
def test_dropout_differs_between_concepts(dropout: float) -> None:
    here = world(pairs=PAIRS[:1])  # one pair, one m, a vector from 0: nothing else is random
    fear, joy = (trained(here, run_config(dropout=dropout), concept=name)[0] for name in ("fear", "joy"))
    assert equal(fear, joy) == (dropout == 0)


def test_derived_seeds_are_stable_and_apart() -> None:
    seeds = {derive_seed(seed, concept, use) for seed in (0, 1) for concept in ("a", "ab") for use in ("b", "draws")}
    assert len(seeds) == 8
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(0, "default", "init") == 2105419642246561853
    assert derive_seed(0, "a", "bc") != derive_seed(0, "ab", "c")
