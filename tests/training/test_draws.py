"""What is scored under which m: one draw a pair, both directions, every pair once an epoch."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch
from torch import Tensor

from easyedit_split.scoring.engine.scorer import scores_over_m
from easyedit_split.steering.forms.vector import Vector, VectorConfig
from easyedit_split.text.batching import Batch
from easyedit_split.training.run_config import RunConfig

from ..small import run_config, world
from .training_runs import ALL, PLAIN, train_module, trained

run_module: Any = importlib.import_module("easyedit_split.training.one_run")


# --- what is scored under which m ------------------------------------------------------------------------------------


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

    monkeypatch.setattr(run_module, "scores_over_m", counted)
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
