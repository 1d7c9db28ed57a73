"""The training loop against loops written out here: losses, steps, accumulation; what is trained steers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from easyedit_split.config import TrainConfig
from easyedit_split.scoring.engine.engine import EngineConfig
from easyedit_split.steering.intervention import Intervention
from easyedit_split.training.loop import train_intervention
from easyedit_split.types import ConfigError, Pair

from ..small import World, oracle_losses, parameters, run_config, world
from ..tiny import exact_norms
from .training_runs import ALL, PLAIN, mean_preference, stop_after, trained


@pytest.fixture
def double() -> Iterator[None]:
    """Parameters in float64, so that sums in another order agree to far below a step's size."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


# --- the loss and the step -------------------------------------------------------------------------------------------


def eq_20(L_own: Any, L_other: Any) -> Any:
    """SPLIT's defaults, nats per token."""
    return L_own + 0.5 * L_other + 5 * np.maximum(0, 0.5 - (L_other - L_own))


@pytest.mark.parametrize("family", ["qwen2", "gemma2", "llama"])
@pytest.mark.parametrize("directions", ["add", "both"])
def test_first_loss_is_eq_20_of_the_bare_model(family: str, directions: str) -> None:
    here = world(family)
    _, history = trained(here, run_config(batch_size=ALL, epochs=1, directions=directions))
    T_p, T_n = (np.array([len(getattr(row, side)) for row in here.rows]) for side in ("positive", "negative"))
    L_p, L_n = oracle_losses(here)
    plus, minus = eq_20(L_p / T_p, L_n / T_n), eq_20(L_n / T_n, L_p / T_p)
    expected = plus.mean() if directions == "add" else (plus + minus).mean()
    assert history[0].loss == pytest.approx(expected, rel=1e-12)
    assert plus.mean() != pytest.approx(minus.mean(), rel=1e-3)


def test_first_loss_of_reps_both_directions() -> None:
    here = world()
    _, history = trained(here, run_config(objective="reps", batch_size=ALL, epochs=1, directions="both"))
    T_p, T_n = (np.array([len(getattr(row, side)) for row in here.rows]) for side in ("positive", "negative"))
    L_p, L_n = oracle_losses(here)
    plus = np.maximum(L_p - L_n, 1) / T_p * -L_p + L_n / T_n
    minus = np.maximum(L_n - L_p, 1) / T_n * -L_n + L_p / T_p
    expected = np.logaddexp(0, -plus) + np.logaddexp(0, -minus)
    assert history[0].loss == pytest.approx(expected.mean(), rel=1e-12)


def oracle_run(here: World, m: float, steps: int, lr: float) -> Tensor:
    """v of SPLIT after full-batch steps: a plain loop with a hook and a schedule of its own, torch's AdamW."""
    v = torch.zeros(here.model.config.hidden_size, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.AdamW([v], lr=lr, weight_decay=0.0)
    for k in range(steps):
        total = torch.zeros((), dtype=torch.float64)
        for row in here.rows:
            mean = []
            for answer in (row.positive, row.negative):
                ids = torch.tensor([row.prompt + answer])

                def steer(module: Any, args: Any, h: Any, prefix: int = row.prefix_length) -> Any:
                    return torch.cat([h[:, :prefix], h[:, prefix:] + m * v], 1)

                handle = here.model.model.layers[1].register_forward_hook(steer)
                logp = here.model(ids).logits[0].log_softmax(-1)
                handle.remove()
                at = torch.arange(len(row.prompt), ids.shape[1])
                mean.append(-logp[at - 1, ids[0, at]].mean())
            L_p, L_n = mean
            total = total + (L_p + 0.5 * L_n + 5 * (0.5 - (L_n - L_p)).relu()) / len(here.rows)
        optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_([v], 1.0)
        optimizer.param_groups[0]["lr"] = lr * (steps - k) / steps
        optimizer.step()
    return v.detach()


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("engine", [EngineConfig(), PLAIN])
def test_a_run_is_a_plain_loop_of_adamw(engine: EngineConfig) -> None:
    here = world()
    exact_norms(here.model)
    run = run_config(batch_size=ALL, epochs=4, steering_factors=(1.7,))
    intervention, _ = trained(here, run, engine=engine)
    torch.testing.assert_close(parameters(intervention)[0], oracle_run(here, 1.7, 4, 0.05), rtol=0, atol=1e-9)
    other, _ = trained(here, run_config(batch_size=ALL, epochs=4, steering_factors=(1.6,)))
    assert not torch.allclose(parameters(other)[0], oracle_run(here, 1.7, 4, 0.05), rtol=0, atol=1e-6)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("form", ["vector", "lora", "local_weight"])
def test_accumulation_equals_a_larger_batch(form: str) -> None:
    here = world()
    whole, of_whole = trained(here, run_config(form, batch_size=ALL, epochs=3))
    parts, of_parts = trained(here, run_config(form, batch_size=2, gradient_accumulation_steps=3, epochs=3))
    for a, b in zip(parameters(whole), parameters(parts), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)
    assert [step.loss for step in of_whole] == pytest.approx([step.loss for step in of_parts], rel=1e-9)
    assert {step.pairs for step in of_parts} == {ALL}
    smaller, _ = trained(here, run_config(form, batch_size=2, epochs=3))
    assert not torch.allclose(parameters(smaller)[0], parameters(whole)[0], rtol=0, atol=1e-3)


# --- steps and learning rates ----------------------------------------------------------------------------------------


def test_warm_up_is_in_the_history_and_too_much_of_it_is_refused() -> None:
    here = world(dtype=torch.float32)
    _, history = trained(here, run_config(batch_size=ALL, epochs=4, warmup_steps=2))
    assert [step.lr for step in history] == pytest.approx([0.05 / 3, 0.1 / 3, 0.05, 0.025])
    with pytest.raises(ConfigError, match=r"warmup_steps is 4, but .* trains for 4 steps"):
        trained(here, run_config(batch_size=ALL, epochs=4, warmup_steps=4))


def test_no_pairs_is_an_error() -> None:
    here = world()
    with pytest.raises(ConfigError, match="'fear' has no pairs"):
        train_intervention(here.model, here.template, [], run_config(), concept="fear")


# --- the model is left as it was -------------------------------------------------------------------------------------


def state_of(model: Any) -> tuple[Any, ...]:
    return (
        [parameter.requires_grad for parameter in model.parameters()],
        [parameter.grad for parameter in model.parameters()],
        [module.training for module in model.modules()],
        [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()],
    )


def explode(losses: Tensor, intervention: Intervention) -> Tensor:
    raise ZeroDivisionError


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("form", ["vector", "local_weight"])
def test_the_model_is_as_before(form: str, fails: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    here = world()
    here.model.train()
    here.model.model.norm.eval()
    here.model.lm_head.weight.requires_grad_(False)
    weights = {name: value.clone() for name, value in here.model.state_dict().items()}
    before = state_of(here.model)
    if fails:
        stop_after(monkeypatch, 1, explode)
        with pytest.raises(ZeroDivisionError):
            trained(here, run_config(form))
    else:
        intervention, _ = trained(here, run_config(form))
        assert all(parameter.grad is None and parameter.requires_grad for parameter in intervention.parameters())
        assert any(bool(parameter.any()) for parameter in intervention.parameters())
    assert state_of(here.model) == before
    assert all(torch.equal(value, weights[name]) for name, value in here.model.state_dict().items())


def test_training_runs_in_evaluation_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    here, modes = world(), []
    here.model.train()

    def look(losses: Tensor, intervention: Intervention) -> Tensor:
        modes.append(here.model.training)
        return losses

    stop_after(monkeypatch, 0, look)
    trained(here, run_config())
    assert modes
    assert not any(modes)
    assert here.model.training


# --- it steers -------------------------------------------------------------------------------------------------------


def test_preference_rises_on_prompts_not_trained_on() -> None:
    prompts = ("Would you lead?", "The offer?", "Answer briefly.", "Write a list.")
    pairs = tuple(Pair(prompt, "Yes, I accept", "No, thank you") for prompt in prompts)
    here, held_in = world(dtype=torch.float32, pairs=pairs[:1]), world(dtype=torch.float32, pairs=pairs[1:])
    intervention, _ = trained(held_in, run_config(epochs=10, batch_size=3, lr=0.1))
    assert mean_preference(here, intervention) > mean_preference(here) + 1
    random = Intervention.create(here.model, "vector", (1,))
    with torch.no_grad():
        size = parameters(intervention)[0].norm()
        noise = torch.randn(32, generator=torch.Generator().manual_seed(3))
        next(random.parameters()).copy_(noise / noise.norm() * size)
    assert mean_preference(here, random) < mean_preference(here) + 1


def test_gradient_norm_is_clipped_and_recorded_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    here, norms, real = world(), [], torch.optim.AdamW.step

    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        norms.append(float(self.param_groups[0]["params"][0].grad.norm()))
        return real(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    _, tight = trained(here, run_config(batch_size=ALL, epochs=1, max_grad_norm=0.01))
    _, loose = trained(here, run_config(batch_size=ALL, epochs=1, max_grad_norm=1e9))
    assert norms == pytest.approx([0.01, loose[0].grad_norm], rel=1e-3)
    assert tight[0].grad_norm == loose[0].grad_norm > 0.1


def test_settings_out_of_range_are_refused() -> None:
    for settings in (
        {"epochs": 0},
        {"lr": 0.0},
        {"dropout": 1.0},
        {"steering_factors": ()},
        {"steering_factors": (0.0,)},
    ):
        with pytest.raises(ConfigError):
            TrainConfig(**settings)
    assert TrainConfig().epochs
