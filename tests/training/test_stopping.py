"""A loss, gradient or update that is not finite stops a run, and the last good state is kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from easyedit_split.steering.intervention import Intervention
from easyedit_split.text.batching import Batch
from easyedit_split.training.loop import TrainingStopped, train_intervention
from easyedit_split.training.schedule import derive_seed

from ..small import World, parameters, run_config, world
from .training_runs import ALL, PLAIN, mean_preference, refused, stop_after, train_module, trained


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
    monkeypatch.setattr(train_module, "checked_engine", refused)
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


def no_room_on_a_gpu(self: Any) -> None:
    raise torch.OutOfMemoryError("no room, allocate less")


def no_room_on_the_cpu(self: Any) -> None:
    torch.empty(1 << 60)


@pytest.mark.parametrize("step", [no_room_on_a_gpu, no_room_on_the_cpu])
def test_an_update_without_memory_is_an_error_and_no_verdict_on_the_run(
    monkeypatch: pytest.MonkeyPatch, step: Callable[[Any], None]
) -> None:
    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    with pytest.raises(RuntimeError, match="allocate") as caught:
        trained(world(), run_config(batch_size=ALL))
    assert not isinstance(caught.value, TrainingStopped)


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
