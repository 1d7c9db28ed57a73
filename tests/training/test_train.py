"""Training against loops written out here: losses, steps, learning rates, draws, and what must not change."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from easyedit_split.config import TrainConfig
from easyedit_split.log_odds import preference
from easyedit_split.scoring.engine.engine import EngineConfig
from easyedit_split.scoring.engine.refusal import EngineRefused
from easyedit_split.scoring.engine.scorer import scores_over_m
from easyedit_split.scoring.score import score
from easyedit_split.steering.forms.vector import Vector, VectorConfig
from easyedit_split.steering.intervention import Intervention
from easyedit_split.text.batching import Batch
from easyedit_split.training.loop import Step, TrainingStopped, train_intervention
from easyedit_split.training.run_config import RunConfig
from easyedit_split.training.schedule import derive_seed, lr_factor, steps_in
from easyedit_split.types import ConfigError, Pair

from ..small import PAIRS, World, equal, oracle_losses, parameters, run_config, world
from ..tiny import exact_norms

loop_module: Any = importlib.import_module("easyedit_split.training.loop")
train_module: Any = importlib.import_module("easyedit_split.training.answers")
PLAIN = EngineConfig(plain=True)
ALL = len(PAIRS)
SWAPPED = tuple(Pair(pair.prompt, pair.negative, pair.positive) for pair in PAIRS)


@pytest.fixture
def double() -> Iterator[None]:
    """Parameters in float64, so that sums in another order agree to far below a step's size."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def trained(here: World, run: RunConfig, **settings: Any) -> tuple[Intervention, tuple[Step, ...]]:
    return train_intervention(here.model, here.template, here.rows, run, **settings)


def mean_preference(here: World, intervention: Intervention | None = None, m: float = 1.0) -> float:
    scores = score(here.model, here.rows, intervention, m)
    return float(np.mean(preference(scores.L_p, scores.L_n)))


# --- the loss and the step -----------------------------------------------------------------------------------------


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


# --- steps and learning rates --------------------------------------------------------------------------------------


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


# --- what is scored under which m ----------------------------------------------------------------------------------


def calls_of(monkeypatch: pytest.MonkeyPatch, run: RunConfig) -> list[tuple[list[tuple[int, ...]], list[float], Any]]:
    """``(rows, m, delta)`` of every forward pass of a run."""
    here, seen, real = world(), [], train_module.row_losses

    def spy(model: Any, batch: Batch, intervention: Any, m: Tensor, **settings: Any) -> Tensor:
        rows = [tuple(ids[:length].tolist()) for ids, length in zip(batch.input_ids, batch.lengths, strict=True)]
        seen.append((rows, m.tolist(), settings["delta"]))
        losses: Tensor = real(model, batch, intervention, m, **settings)
        return losses

    with monkeypatch.context() as patch:
        patch.setattr(train_module, "row_losses", spy)
        trained(here, run, engine=PLAIN)
    return seen


MANY = tuple(0.2 + 0.01 * k for k in range(150))


def test_both_answers_of_a_pair_get_the_same_m(monkeypatch: pytest.MonkeyPatch) -> None:
    for _, m, _ in calls_of(monkeypatch, run_config(batch_size=3, steering_factors=MANY)):
        half = len(m) // 2
        assert m[:half] == m[half:]
        assert half < 2 or len(set(m[:half])) > 1  # drawn per pair, not per batch
        assert set(m) <= set(MANY)  # exactly these, not their nearest float32


def test_control_easyedit2_draws_them_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_config(batch_size=3, steering_factors=MANY, objective_config={"compat": "easyedit2"})
    assert all(m[: len(m) // 2] != m[len(m) // 2 :] for _, m, _ in calls_of(monkeypatch, run))


def test_both_directions_swap_the_answers_and_the_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = calls_of(monkeypatch, run_config(batch_size=3, steering_factors=MANY, directions="both"))
    for (rows, m, _), (swapped, minus_m, _) in zip(calls[::2], calls[1::2], strict=True):
        half = len(rows) // 2
        assert swapped == rows[half:] + rows[:half]
        assert minus_m == [-value for value in m]
        assert rows != swapped
    one_way = calls_of(monkeypatch, run_config(batch_size=3, steering_factors=MANY))
    assert len(calls) == 2 * len(one_way)
    assert all(value > 0 for _, m, _ in one_way for value in m)


def test_sft_scores_one_answer_a_direction(monkeypatch: pytest.MonkeyPatch) -> None:
    here = world()
    calls = calls_of(monkeypatch, run_config(objective="sft", batch_size=ALL, epochs=1, directions="both"))
    assert len(calls) == 2
    positives = {row.prompt + row.positive for row in here.rows}
    assert [set(rows) == positives for rows, _, _ in calls] == [True, False]


def test_every_pair_is_seen_once_an_epoch_in_another_order(monkeypatch: pytest.MonkeyPatch) -> None:
    here = world()
    calls = calls_of(monkeypatch, run_config(objective="sft", batch_size=1, epochs=6))
    orders = [[rows[0] for rows, _, _ in calls[k : k + ALL]] for k in range(0, len(calls), ALL)]
    assert all(sorted(order) == sorted(row.prompt + row.positive for row in here.rows) for order in orders)
    assert len({tuple(order) for order in orders}) > 1


def test_the_bare_model_is_scored_once(monkeypatch: pytest.MonkeyPatch) -> None:
    here, calls = world(), []

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return scores_over_m(*args, **kwargs)

    monkeypatch.setattr(loop_module, "scores_over_m", counted)
    trained(here, run_config(objective="reps", epochs=3))
    assert len(calls) == 1
    trained(here, run_config(objective="split", epochs=3))
    assert len(calls) == 1


def test_dropout_thins_the_change_and_scales_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = calls_of(monkeypatch, run_config("local_weight", batch_size=ALL, epochs=1, dropout=0.25))
    delta = calls[0][2]

    ones = Vector(VectorConfig(), 60, 60)
    ones.v = torch.nn.Parameter(torch.ones(60))
    x = torch.zeros(4, 50, 60)
    dropped = delta(ones, x, 3.0)
    assert set(dropped.unique().tolist()) == {0.0, 4.0}
    assert float(dropped.detach().mean()) == pytest.approx(3.0, abs=0.1)
    whole = calls_of(monkeypatch, run_config("local_weight", batch_size=ALL, epochs=1))[0][2]
    assert torch.equal(whole(ones, x, 3.0), torch.full((4, 50, 60), 3.0))


# --- repeatable ----------------------------------------------------------------------------------------------------

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


# --- the model is left as it was -----------------------------------------------------------------------------------


def state_of(model: Any) -> tuple[Any, ...]:
    return (
        [parameter.requires_grad for parameter in model.parameters()],
        [parameter.grad for parameter in model.parameters()],
        [module.training for module in model.modules()],
        [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()],
    )


def stop_after(monkeypatch: pytest.MonkeyPatch, calls: int, spoil: Callable[[Tensor, Intervention], Tensor]) -> None:
    real, count = train_module.row_losses, iter(range(10**6))

    def spoiled(*args: Any, **kwargs: Any) -> Tensor:
        losses: Tensor = real(*args, **kwargs)
        return spoil(losses, args[2]) if next(count) >= calls else losses

    monkeypatch.setattr(train_module, "row_losses", spoiled)
    monkeypatch.setattr(train_module, "Engine", refused)


def refused(*args: Any) -> Any:
    raise EngineRefused("a test")


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


# --- losses and gradients that are not finite ----------------------------------------------------------------------


def nan_loss(losses: Tensor, intervention: Intervention) -> Tensor:
    return losses * math.nan


def nan_gradient(losses: Tensor, intervention: Intervention) -> Tensor:
    return losses + 0 * (0 * next(intervention.parameters()).sum()).sqrt()


def batches_of(monkeypatch: pytest.MonkeyPatch, here: World) -> list[list[int]]:
    """Indices of the pairs of every forward pass from now on."""
    real, seen = train_module.row_losses, []
    index = {row.prompt + row.positive: row.index for row in here.rows}

    def spy(model: Any, batch: Batch, *args: Any, **settings: Any) -> Tensor:
        rows = [tuple(ids[:length].tolist()) for ids, length in zip(batch.input_ids, batch.lengths, strict=True)]
        seen.append([index[row] for row in rows if row in index])
        losses: Tensor = real(model, batch, *args, **settings)
        return losses

    monkeypatch.setattr(train_module, "row_losses", spy)
    monkeypatch.setattr(train_module, "Engine", refused)
    return seen


def states_before_steps(monkeypatch: pytest.MonkeyPatch) -> list[list[Tensor]]:
    """The parameters as every step of AdamW finds them."""
    real, states = torch.optim.AdamW.step, []

    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        states.append([value.detach().clone() for group in self.param_groups for value in group["params"]])
        return real(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    return states


@pytest.mark.parametrize(("spoil", "what"), [(nan_loss, "loss"), (nan_gradient, "gradient")])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_run_stops_with_step_and_rows_and_keeps_the_last_state_that_was_good(
    spoil: Any, what: str, accumulation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = world()
    run = run_config(epochs=4, batch_size=2, gradient_accumulation_steps=accumulation)
    _, whole = trained(here, run, engine=PLAIN)
    first, spoilt = {1: (2, 2), 2: (3, 4)}[accumulation]  # passes of the third step; three batches make an epoch
    stop_after(monkeypatch, spoilt, spoil)
    batches, states = batches_of(monkeypatch, here), states_before_steps(monkeypatch)
    with pytest.raises(TrainingStopped) as caught:
        trained(here, run)
    stop = caught.value
    assert f"the {what} of step 3 of {len(whole)} (concept 'default') is nan" in str(stop)
    rows = batches[spoilt] if what == "loss" else [row for batch in batches[first:] for row in batch]
    assert f"its pairs are rows {', '.join(map(str, rows))}: the state after step 1 is kept" in str(stop)
    assert 0 < len(rows) < ALL
    assert stop.history == whole[:1]
    assert len(states) == 2
    assert torch.equal(parameters(stop.intervention)[0], states[1][0])
    assert not torch.equal(states[1][0], states[0][0])
    assert all(parameter.grad is None for parameter in stop.intervention.parameters())


def test_what_overflows_is_not_what_is_kept() -> None:
    here = world(dtype=torch.float32)
    far: dict[str, Any] = {"lr": 1e37, "batch_size": ALL, "steering_factors": (20.0,)}
    reached, _ = trained(here, run_config("local_weight", epochs=1, **far))
    assert np.isnan(mean_preference(here, reached, 20.0))  # one step is too far, and there is no second to show it
    with pytest.raises(TrainingStopped, match=r"loss of step 2 of 2 .* the state before training is kept") as caught:
        trained(here, run_config("local_weight", epochs=2, **far))
    assert caught.value.history == ()
    assert mean_preference(here, caught.value.intervention, 20.0) == mean_preference(here)


def test_an_update_that_the_optimizer_cannot_make_stops_the_run() -> None:
    here = world(dtype=torch.float32)
    what = r"the update of step 1 of 2 .* is impossible \(.*overflow.*\); .*: the state before training is kept"
    with pytest.raises(TrainingStopped, match=what) as caught:
        trained(here, run_config(batch_size=ALL, lr=1e38))
    assert not parameters(caught.value.intervention)[0].any()


def test_an_update_to_infinity_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    here, states, real = world(), states_before_steps(monkeypatch), torch.optim.AdamW.step

    def step(self: Any) -> None:
        real(self)
        if len(states) == 3:
            next(iter(self.param_groups[0]["params"])).data[5] = math.inf

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    what = r"the update of step 3 of 6 .* is not finite; .*: the state after step 2 is kept"
    with pytest.raises(TrainingStopped, match=what) as caught:
        trained(here, run_config())
    assert torch.equal(parameters(caught.value.intervention)[0], states[2][0])
    assert len(caught.value.history) == 2


def test_the_rows_named_are_those_of_the_source() -> None:
    here = world()
    rows = [type(row)(row.pair, row.prompt, row.positive, row.negative, row.prefix_length, row.index + 700)
            for row in here.rows]  # fmt: skip
    with torch.no_grad():
        here.model.model.embed_tokens.weight[:] = torch.nan
    draws = torch.Generator().manual_seed(derive_seed(0, "default", "draws"))
    first, second = (700 + i for i in torch.randperm(ALL, generator=draws).tolist()[:2])
    with pytest.raises(
        TrainingStopped, match=rf"loss of step 1 of 6 .* rows {first}, {second}: the state before training"
    ):
        train_intervention(here.model, here.template, rows, run_config())


# --- it steers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", ["split", "sft", "reps"])
@pytest.mark.parametrize("form", ["vector", "lora", "local_weight"])
def test_training_raises_preference(form: str, objective: str) -> None:
    here = world(dtype=torch.float32)
    run = run_config(form, objective, epochs=8, batch_size=ALL, lr=0.3, directions="both")
    bare = mean_preference(here)
    there = world(dtype=torch.float32, pairs=SWAPPED)
    assert mean_preference(here, trained(here, run)[0]) > bare + 0.5
    assert mean_preference(here, trained(there, run)[0]) < bare  # roles swapped: the other way
    slow = run_config(form, objective, epochs=8, batch_size=ALL, lr=1e-7, directions="both")
    assert mean_preference(here, trained(here, slow)[0]) == pytest.approx(bare, abs=0.01)


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
