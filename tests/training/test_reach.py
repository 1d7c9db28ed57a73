"""Factors within reach: never a larger r than the limit, one scale a step, drawn by the seed as any."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from easyedit_split.scoring.natural_unit import natural_unit
from easyedit_split.training.reach import Reach
from easyedit_split.training.run_config import RunConfig

from ..small import World, made, run_config, world
from .training_runs import PLAIN, train_module, trained

FACTORS = (0.5, 1.0, 2.0)
LIMIT = 0.1


def across(limit: float | None, seed: int = 0) -> RunConfig:
    return run_config(
        objective="split_across",
        objective_config={"reach": limit},
        steering_factors=FACTORS,
        seed=seed,
        lr=0.3,
        epochs=4,
    )


def drawn(monkeypatch: pytest.MonkeyPatch, here: World, run: RunConfig) -> list[tuple[list[float], float]]:
    """``(m, r at m = 1)`` of every step, the latter measured afresh."""
    seen, real = [], train_module.row_losses

    def spy(model: Any, batch: Any, intervention: Any, m: torch.Tensor, **settings: Any) -> torch.Tensor:
        seen.append((m.tolist(), natural_unit(here.model, here.rows, intervention).r_per_m))
        losses: torch.Tensor = real(model, batch, intervention, m, **settings)
        return losses

    with monkeypatch.context() as patch:
        patch.setattr(train_module, "row_losses", spy)
        trained(here, run, engine=PLAIN)
    return seen


def test_no_step_goes_farther_than_its_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    here = world()
    steps = drawn(monkeypatch, here, across(LIMIT))
    assert max(max(m) * per_m for m, per_m in steps) <= LIMIT * (1 + 1e-12)
    assert max(max(m) * per_m for m, per_m in steps) == pytest.approx(LIMIT)
    free = drawn(monkeypatch, here, across(None))
    assert max(max(m) * per_m for m, per_m in free) > 3 * LIMIT, "control: without it they go farther"


def test_one_number_scales_the_factors_that_were_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    here = world()
    within, free = (drawn(monkeypatch, here, across(limit)) for limit in (LIMIT, None))
    scales = [[a / b for a, b in zip(m, plain, strict=True)] for (m, _), (plain, _) in zip(within, free, strict=True)]
    assert all(scale == pytest.approx([scale[0]] * len(scale)) for scale in scales)
    assert scales[0][0] == 1.0  # nothing is changed yet
    assert scales[-1][0] < 1.0
    assert all(set(plain) <= set(FACTORS) for plain, _ in free)
    others = drawn(monkeypatch, here, across(None, seed=1))
    assert [m for m, _ in others] != [m for m, _ in free], "control: another seed draws others"


@pytest.mark.parametrize("form", ["vector", "lora", "local_weight"])
def test_the_scale_brings_the_largest_factor_to_the_limit(form: str) -> None:
    here = world()
    intervention = made(here, form)
    r = 2.0 * natural_unit(here.model, here.rows, intervention).r_per_m
    scale = {limit: Reach(limit, 2.0, here.model, here.rows, intervention, 0).scale() for limit in (r / 4, r, 2 * r)}
    assert scale == {r / 4: pytest.approx(0.25), r: 1.0, 2 * r: 1.0}


def test_where_nothing_is_changed_or_known_factors_stand_as_they_are() -> None:
    here = world()
    intervention = made(here)
    reach = Reach(LIMIT, 2.0, here.model, here.rows, intervention, 0)
    assert reach.scale() < 1
    for value in (0.0, float("nan")):
        with torch.no_grad():
            next(intervention.parameters()).fill_(value)
        assert reach.scale() == 1.0
