"""Objectives: every loss worked out by hand, DiffMean from the model's own hidden states."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from easyedit_split.config import build
from easyedit_split.steering.attach import attach
from easyedit_split.steering.forms.base import FORMS
from easyedit_split.steering.forms.vector import Vector, VectorConfig
from easyedit_split.steering.intervention import Intervention
from easyedit_split.training.loop import train_intervention
from easyedit_split.training.objectives.base import OBJECTIVES, AnswerLosses, FittedObjective, TrainedObjective
from easyedit_split.training.objectives.diff_mean import DiffMean, DiffMeanConfig
from easyedit_split.training.objectives.reps import Reps, RepsConfig, null_it_out
from easyedit_split.training.objectives.sft import Sft, SftConfig
from easyedit_split.training.objectives.split import Split, SplitConfig
from easyedit_split.training.run_config import RunConfig
from easyedit_split.types import ConfigError, Pair

from ..small import PAIRS, World, equal, made, parameters, run_config, world

SWAPPED = tuple(Pair(pair.prompt, pair.negative, pair.positive) for pair in PAIRS)


def answers(L: list[float], T: list[int], P: list[int] | None = None) -> AnswerLosses:
    return AnswerLosses(torch.tensor(L, dtype=torch.float64), torch.tensor(T), torch.tensor(P or [5] * len(T)))


OWN, OTHER = answers([6.0, 2.0], [3, 2]), answers([4.0, 9.0], [2, 3])  # per token: 2, 1 and 2, 3


def close(loss: Tensor, *values: float) -> bool:
    return bool(np.allclose(loss.detach().numpy(), values, rtol=1e-14, atol=0))


# --- SPLIT ---------------------------------------------------------------------------------------------------------


def test_split_is_eq_18_to_20() -> None:
    loss = Split(SplitConfig(lambda_p=1.5, lambda_n=0.25, gamma=4.0, theta=0.5)).side_loss(OWN, OTHER)
    # 1.5 * 2 + 0.25 * 2 + 4 * relu(0.5 - (2 - 2)),   1.5 * 1 + 0.25 * 3 + 4 * relu(0.5 - (3 - 1))
    assert close(loss, 3.0 + 0.5 + 2.0, 1.5 + 0.75 + 0.0)


def test_split_on_summed_losses() -> None:
    loss = Split(SplitConfig(length_normalize=False, theta=8.0, gamma=2.0)).side_loss(OWN, OTHER)
    # 6 + 4 / 2 + 2 * (8 - (4 - 6)),   2 + 9 / 2 + 2 * (8 - (9 - 2))
    assert close(loss, 6 + 2 + 20, 2 + 4.5 + 2)


def test_split_the_answers_roles_matter() -> None:
    objective = Split(SplitConfig())
    assert not torch.equal(objective.side_loss(OWN, OTHER), objective.side_loss(OTHER, OWN))


def test_split_hinge_is_flat_beyond_the_margin() -> None:
    def gradients(L_other: float) -> tuple[float, float]:
        L = torch.tensor([1.0, L_other], dtype=torch.float64, requires_grad=True)
        one = torch.ones(1, dtype=torch.long)
        objective = Split(SplitConfig(lambda_p=1.0, lambda_n=0.5, gamma=5.0, theta=0.5))
        objective.side_loss(AnswerLosses(L[:1], one, one), AnswerLosses(L[1:], one, one)).sum().backward()  # type: ignore[no-untyped-call]
        assert L.grad is not None
        return float(L.grad[0]), float(L.grad[1])

    assert gradients(1.6) == (1.0, 0.5)  # preference 0.6 > theta: only utility pulls
    assert gradients(1.4) == (6.0, -4.5)  # the hinge pulls the answers apart


def test_split_compat_takes_losses_of_the_whole_batch() -> None:
    settings: dict[str, Any] = {"lambda_p": 1.0, "lambda_n": 0.5, "gamma": 5.0, "theta": 0.5}
    loss = Split(SplitConfig(**settings, compat="easyedit2")).side_loss(OWN, OTHER)
    own, other = 8 / 5, 13 / 5
    assert close(loss, *[own + other / 2 + 5 * max(0, 0.5 - (other - own))] * 2)
    assert not close(Split(SplitConfig(**settings)).side_loss(OWN, OTHER), *loss.tolist())


def test_split_same_m_unless_compat() -> None:
    assert Split(SplitConfig()).same_m
    assert not Split(SplitConfig(compat="easyedit2")).same_m


def test_split_needs_a_weight() -> None:
    with pytest.raises(ConfigError, match="nothing to train"):
        SplitConfig(lambda_p=0.0, lambda_n=0.0, gamma=0.0)
    with pytest.raises(ConfigError, match="gamma is -1"):
        SplitConfig(gamma=-1.0)
    assert SplitConfig(lambda_p=0.0, lambda_n=0.0).gamma == 5


# --- SFT -----------------------------------------------------------------------------------------------------------


def test_sft_is_split_without_the_other_answer() -> None:
    assert close(Sft(SftConfig()).side_loss(OWN), 2.0, 1.0)
    split = Split(SplitConfig(lambda_n=0.0, gamma=0.0))
    assert torch.equal(Sft(SftConfig()).side_loss(OWN), split.side_loss(OWN, OTHER))
    assert not Sft.needs_other


# --- RePS ----------------------------------------------------------------------------------------------------------

BARE_OWN, BARE_OTHER = answers([7.0, 3.0], [3, 2]), answers([4.0, 5.0], [2, 3])


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


def vector(v: Tensor) -> Vector:
    form = Vector(VectorConfig(), len(v), len(v))
    form.v = torch.nn.Parameter(v)
    return form


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


# --- DiffMean ------------------------------------------------------------------------------------------------------


def mean_states(here: World, block: int, side: str) -> Tensor:
    """Mean over the answer's tokens of the block's output as transformers reports it, ``[n d]``."""
    means = []
    for row in here.rows:
        with torch.no_grad():
            states = here.model(torch.tensor([row.prompt + getattr(row, side)]), output_hidden_states=True)
        means.append(states.hidden_states[block + 1][0, len(row.prompt) :].mean(0))
    return torch.stack(means)


@pytest.mark.parametrize("family", ["qwen2", "gemma2", "llama"])
def test_diff_mean_is_the_difference_of_mean_hidden_states(family: str) -> None:
    here = world(family)
    intervention, history = train_intervention(
        here.model, here.template, here.rows, run_config(objective="diff_mean", layers=(0, 1))
    )
    for block in (0, 1):
        positive, negative = (mean_states(here, block, side) for side in ("positive", "negative"))
        v = (positive.mean(0) - negative.mean(0)).float()
        assert torch.equal(parameters(intervention)[block], v) or torch.allclose(
            parameters(intervention)[block], v, rtol=1e-6, atol=1e-7
        )
        assert v.norm() > 0.1
    assert history == ()


def diff_mean(here: World, **settings: Any) -> Tensor:
    """v at block 1."""
    intervention, _ = train_intervention(
        here.model, here.template, here.rows, run_config(objective="diff_mean", **settings)
    )
    return parameters(intervention)[0]


def mean_output(here: World, module: torch.nn.Module, side: str) -> Tensor:
    """Mean over pairs of the mean over the answer's tokens of a module's output, ``[d]``."""
    means: list[Tensor] = []
    for row in here.rows:
        start = len(row.prompt)
        handle = module.register_forward_hook(lambda _, args, h, start=start: means.append(h[0, start:].mean(0)))
        with torch.no_grad():
            here.model(torch.tensor([row.prompt + getattr(row, side)]))
        handle.remove()
    return torch.stack(means).mean(0)


@pytest.mark.parametrize("family", ["qwen2", "gemma2", "llama"])
def test_diff_mean_reads_what_its_vector_is_added_to(family: str) -> None:
    here = world(family)
    at_block = diff_mean(here, site="mlp.down_proj", placement="block_output")
    at_map = diff_mean(here, site="mlp.down_proj", placement="site")
    assert torch.equal(at_block, diff_mean(here, site="residual"))
    assert not torch.allclose(at_map, at_block, rtol=0.1)
    block = here.model.model.layers[1]
    for v, module in ((at_block, block), (at_map, block.mlp.down_proj)):
        wanted = mean_output(here, module, "positive") - mean_output(here, module, "negative")
        torch.testing.assert_close(v, wanted.float(), rtol=1e-5, atol=1e-6)


def test_diff_mean_of_swapped_answers_points_the_other_way() -> None:
    forth, back = (diff_mean(world(pairs=pairs)) for pairs in (PAIRS, SWAPPED))
    assert torch.equal(back, -forth)
    assert forth.norm() > 0.1


def test_diff_mean_at_m_1_moves_one_mean_to_the_other() -> None:
    positive, negative = torch.randn(2, 5, 8, dtype=torch.float64).unbind(0)
    v = DiffMean(DiffMeanConfig()).fit(positive, negative)
    torch.testing.assert_close((negative + v).mean(0), positive.mean(0), rtol=0, atol=1e-14)


def test_diff_mean_of_activations_that_overflow_is_an_error() -> None:
    here = world()
    with torch.no_grad():
        here.model.model.embed_tokens.weight[here.rows[2].negative[0]] = torch.inf
    with pytest.raises(ConfigError, match=r"row \d at 1.residual are not finite"):
        train_intervention(here.model, here.template, here.rows, run_config(objective="diff_mean"))


# --- the registry's view -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_every_objective_is_a_loss_or_a_closed_form(name: str) -> None:
    objective = OBJECTIVES[name]
    assert objective.name == name
    assert issubclass(objective, FittedObjective) == objective.closed_form
    assert issubclass(objective, TrainedObjective) != objective.closed_form
    assert build(objective.config_class, {}, name)


@pytest.mark.parametrize("name", sorted(n for n in OBJECTIVES if not OBJECTIVES[n].closed_form))
@pytest.mark.parametrize("form", ["vector", "lora", "local_weight"])
@pytest.mark.parametrize("directions", ["add", "both"])
def test_every_loss_trains_every_form(name: str, form: str, directions: str) -> None:
    here = world(dtype=torch.float32)
    run = run_config(form, name, directions=directions, epochs=1)
    intervention, history = train_intervention(here.model, here.template, here.rows, run)
    start = Intervention(
        intervention.config, [(intervention[s].d_in, intervention[s].d_out) for s in intervention.sites]
    )
    assert len(history) == 3
    assert all(step.grad_norm > 0 for step in history)
    assert not equal(intervention, start)


def test_an_impossible_pairing_fails_when_it_is_read() -> None:
    with pytest.raises(ConfigError, match="'diff_mean' cannot train form 'lora'; it can: vector"):
        RunConfig.read({"form": "lora", "objective": "diff_mean", "layers": [1]})
    with pytest.raises(ConfigError, match=r"lambda_q.*lambda_"):
        RunConfig.read({"form": "lora", "objective": "split", "layers": [1], "objective_config": {"lambda_q": 1}})
    assert RunConfig.read({"form": "vector", "objective": "diff_mean", "layers": [1]}).form == "vector"
