"""RePS against its formulas, and the removal of a direction."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from easyedit_split.steering.attach import attach
from easyedit_split.steering.forms.base import FORMS
from easyedit_split.steering.forms.vector import Vector, VectorConfig
from easyedit_split.training.objectives.reps import Reps, RepsConfig, null_it_out
from easyedit_split.types import ConfigError

from ..small import made, parameters, run_config, world
from .answer_losses import OTHER, OWN, answers, close

BARE_OWN, BARE_OTHER = answers([7.0, 3.0], [3, 2]), answers([4.0, 5.0], [2, 3])


def vector(v: Tensor) -> Vector:
    form = Vector(VectorConfig(), len(v), len(v))
    form.v = torch.nn.Parameter(v)
    return form


def log_sigma(x: float) -> float:
    return -math.log1p(math.exp(-x))


def test_reps_both_sides_by_hand() -> None:
    objective = Reps(RepsConfig())
    plus = objective.side_loss(OWN, OTHER, BARE_OWN, BARE_OTHER)
    # beta+ = max(log p(y) - log p(y_c), 1) = max(-4 + 7, 1), max(-5 + 3, 1)
    assert close(plus, -log_sigma(3 / 3 * -6 + 4 / 2), -log_sigma(1 / 2 * -2 + 9 / 3))
    minus = objective.side_loss(OTHER, OWN, BARE_OTHER, BARE_OWN)
    # beta- = max(log p(y_c) - log p(y), 1) = max(-7 + 4, 1), max(-3 + 5, 1)
    assert close(minus, -log_sigma(1 / 2 * -4 + 6 / 3), -log_sigma(2 / 3 * -9 + 2 / 2))


def test_reps_lengths_of_whole_sequences() -> None:
    loss = Reps(RepsConfig(length="sequence")).side_loss(OWN, OTHER, BARE_OWN, BARE_OTHER)
    assert close(loss, -log_sigma(3 / 8 * -6 + 4 / 7), -log_sigma(1 / 7 * -2 + 9 / 8))
    assert not torch.equal(loss, Reps(RepsConfig()).side_loss(OWN, OTHER, BARE_OWN, BARE_OTHER))


def test_reps_beta_is_a_constant_of_the_bare_model() -> None:
    objective = Reps(RepsConfig())
    assert objective.needs_bare
    weaker = answers([9.0, 3.0], [3, 2])
    assert not torch.equal(
        objective.side_loss(OWN, OTHER, BARE_OWN, BARE_OTHER), objective.side_loss(OWN, OTHER, weaker, BARE_OTHER)
    )
    below_one = answers([3.0, 3.0], [3, 2])  # beta is 1 at least: how far below it the bare model is changes nothing
    also_below = answers([4.5, 3.0], [3, 2])
    assert torch.equal(
        objective.side_loss(OWN, OTHER, below_one, BARE_OTHER), objective.side_loss(OWN, OTHER, also_below, BARE_OTHER)
    )


def test_null_it_out_removes_what_points_along_v() -> None:
    x = torch.tensor([[[2.0, 1.0], [-2.0, 1.0]]], dtype=torch.float64)
    form = vector(torch.tensor([3.0, 0.0], dtype=torch.float64))
    new = x + null_it_out(form, x)
    assert new.tolist() == [[[0.0, 1.0], [-2.0, 1.0]]]
    assert torch.equal(null_it_out(form, x, 5.0), null_it_out(form, x, -1.0))  # m plays no part
    assert not torch.equal(null_it_out(form, x), form.delta(x, -1.0))


def test_null_it_out_at_v_0_removes_nothing_and_has_finite_gradients() -> None:
    x = torch.randn(1, 4, 3, dtype=torch.float64, requires_grad=True)
    form = vector(torch.zeros(3, dtype=torch.float64))
    dy = null_it_out(form, x)
    assert not dy.any()
    dy.square().sum().backward()  # type: ignore[no-untyped-call]
    (x + null_it_out(form, x)).sum().backward()  # type: ignore[no-untyped-call]
    assert form.v.grad is not None
    assert x.grad is not None
    assert torch.isfinite(form.v.grad).all()
    assert torch.isfinite(x.grad).all()


def test_control_the_plain_formula_is_nan_at_v_0() -> None:
    x, v = torch.randn(4, 3), torch.zeros(3)
    assert torch.isnan((x @ v).relu()[:, None] / v.square().sum() * v).all()


def test_null_it_out_in_a_model_leaves_nothing_along_v() -> None:
    here = world()
    intervention = made(here)
    v = parameters(intervention)[0].double()
    row = here.rows[0]
    ids = torch.tensor([row.prompt + row.positive])

    def hidden(delta: Any) -> Tensor:
        with torch.no_grad(), attach(here.model, intervention, -1.0, delta=delta):
            states: Tensor = here.model(ids, output_hidden_states=True).hidden_states[2][0, row.prefix_length :]
        return states @ v

    assert (hidden(null_it_out) < 1e-9).all()
    assert not (hidden(None) < 1e-9).all()


def test_reps_null_it_out_is_for_vectors_in_the_residual_stream() -> None:
    objective = Reps(RepsConfig())
    assert objective.minus_delta(Vector, "residual") is null_it_out
    assert objective.minus_delta(FORMS["lora"], "mlp.down_proj") is None
    assert Reps(RepsConfig(subtraction="normal")).minus_delta(Vector, "mlp.down_proj") is None
    with pytest.raises(ConfigError, match=r"residual.*subtraction normal"):
        run_config(objective="reps", site="mlp.down_proj", directions="both")
    run_config(objective="reps", site="mlp.down_proj")  # +m alone never removes anything
    run_config(objective="reps", site="mlp.down_proj", directions="both", objective_config={"subtraction": "normal"})


def test_what_a_form_is_like_decides_and_not_its_name() -> None:
    class Another(Vector):
        name = "another"

    assert Reps(RepsConfig()).minus_delta(Another, "residual") is null_it_out
    Another.constant = False
    assert Reps(RepsConfig()).minus_delta(Another, "residual") is None
