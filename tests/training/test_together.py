"""Many runs at once: each becomes what it becomes alone, whatever it shares launches with."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from easyedit_split.scoring.engine.config import EngineConfig
from easyedit_split.training import loop, stacked
from easyedit_split.training.dropout import Dropout
from easyedit_split.training.loop import train_intervention
from easyedit_split.training.run_config import RunConfig
from easyedit_split.training.together import TrainingCell, train_together
from easyedit_split.training.train_pairs import train_artifact, train_artifacts

from ..small import PAIRS, World, equal, parameters, run_config, world
from ..tiny import exact_norms

WIDE = EngineConfig(launch_tokens=2000)
NARROW = EngineConfig(row_tokens=30)  # a pair a row, a row a launch
MANY = EngineConfig(launch_tokens=2000, row_tokens=30)
RUNS = (
    run_config("vector", "split", dropout=0.1, directions="both"),
    run_config("vector", "reps", dropout=0.2, directions="both", seed=3, lr=0.1),
    run_config("lora", "sft", dropout=0.1, batch_size=3, epochs=3, steering_factors=(0.5, 1.0, 2.0)),
    run_config("local_weight", "split", gradient_accumulation_steps=2, max_grad_norm=0.01),
    run_config("lora", "split", objective_config={"compat": "easyedit2"}, dropout=0.1),
    run_config("vector", "diff_mean"),
    run_config("vector", "sft", positions="answer", placement="block_output"),
    run_config("vector", "split_across", objective_config={"reach": 0.01}),
    run_config("lora", "split", layers=(0, 1)),  # several layers: cannot share
)


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parameters in float64, as the model's."""
    real = loop.untrained
    monkeypatch.setattr(loop, "untrained", lambda *args: real(*args).double())


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many lanes each shared launch held."""
    real, seen = stacked.stacked_losses, []

    def spy(engine: Any, shared: Any, lanes: Any) -> Any:
        seen.append(len(lanes))
        return real(engine, shared, lanes)

    monkeypatch.setattr(stacked, "stacked_losses", spy)
    return seen


def cells(here: World, runs: tuple[RunConfig, ...] = RUNS) -> list[TrainingCell]:
    """Half of the runs train on some of the pairs only: their texts are shared, not equal."""
    return [TrainingCell(here.template, here.rows[: 5 - i % 2], run, f"c{i}") for i, run in enumerate(runs)]


def alone(here: World, cell: TrainingCell, engine: EngineConfig | None = None) -> Any:
    return train_intervention(here.model, cell.template, cell.pairs, cell.run, concept=cell.concept, engine=engine)


def farthest(a: Any, b: Any) -> float:
    return max(float((x - y).abs().max()) for x, y in zip(parameters(a), parameters(b), strict=True))


@pytest.mark.parametrize("family", ["qwen2", "gemma2"])
def test_each_gets_what_it_gets_alone(family: str, double: None, calls: list[int]) -> None:
    here = world(family)
    exact_norms(here.model)
    found = train_together(here.model, cells(here), stacked=True, engine=WIDE)
    assert max(calls) >= 6
    for cell, result in zip(cells(here), found, strict=True):
        wanted, history = alone(here, cell)
        assert farthest(result.intervention, wanted) <= 1e-9
        assert len(history) == len(result.history)
        for a, b in zip(result.history, history, strict=True):
            assert (a.loss, a.m) == pytest.approx((b.loss, b.m), abs=1e-9)
            nearly: dict[str, Any] = {"loss": 0.0, "grad_norm": 0.0, "m": 0.0}  # m within reach follows from parameters
            assert dataclasses.replace(a, **nearly) == dataclasses.replace(b, **nearly)
        assert all(parameter.grad is None for parameter in result.intervention.parameters())


def test_in_single_precision_to_1e_6(calls: list[int]) -> None:
    here = world("qwen2", torch.float32)
    found = train_together(here.model, cells(here), stacked=True, engine=WIDE)
    assert max(calls) >= 6
    assert all(farthest(r.intervention, alone(here, c)[0]) <= 1e-6 for c, r in zip(cells(here), found, strict=True))


def test_one_row_a_launch_gives_the_same_bits() -> None:
    here = world("qwen2", torch.float32)
    some = [TrainingCell(here.template, here.rows, run, "c") for run in RUNS[:4]]
    for cell, result in zip(some, train_together(here.model, some, stacked=True), strict=True):
        assert equal(result.intervention, alone(here, cell)[0])


def test_control_noise_drawn_in_another_order_is_another_run(monkeypatch: pytest.MonkeyPatch) -> None:
    here = world()

    def backwards(self: Dropout, widths: Any, d: int) -> list[Tensor]:
        return [self.draw(1, width, d) for width in widths[::-1]][::-1]

    wanted = [alone(here, cell, NARROW)[0] for cell in cells(here)[:2]]

    def farthest_of_all() -> float:
        found = train_together(here.model, cells(here)[:2], stacked=True, engine=MANY)
        return max(farthest(a.intervention, b) for a, b in zip(found, wanted, strict=True))

    assert farthest_of_all() < 1e-6
    monkeypatch.setattr(Dropout, "of_rows", backwards)
    assert farthest_of_all() > 1e-4


def test_on_a_cpu_they_follow_one_another(calls: list[int]) -> None:
    here = world()
    seen: list[int] = []
    found = train_together(here.model, cells(here)[:3], progress=lambda place, *_: seen.append(place))
    assert calls == []
    assert seen == sorted(seen)
    assert {*seen} == {0, 1, 2}
    assert equal(found[2].intervention, alone(here, cells(here)[2])[0])


def test_a_run_that_stops_leaves_the_others_alone() -> None:
    here = world("qwen2", torch.float32)
    wild = run_config("local_weight", epochs=3, lr=1e37, batch_size=5, steering_factors=(20.0,))
    some = cells(here, (RUNS[0], wild, RUNS[2]))
    for how in (True, False):
        good, stopped, other = train_together(here.model, some, stacked=how, engine=WIDE if how else None)
        assert stopped.stopped is not None
        assert "loss of step 2 of 3 (concept 'c1')" in str(stopped.stopped)
        assert stopped.history == ()
        assert good.stopped is None
        assert farthest(good.intervention, alone(here, some[0])[0]) <= 1e-6
        assert farthest(other.intervention, alone(here, some[2])[0]) <= 1e-6


def test_where_memory_is_short_launches_are_halved(monkeypatch: pytest.MonkeyPatch, double: None) -> None:
    here = world()
    exact_norms(here.model)
    real, tried = stacked.stacked_losses, []

    def short(engine: Any, shared: Any, lanes: Any) -> Any:
        tokens = sum(len(row.node) for lane in lanes for row in lane.rows)
        tried.append(tokens)
        if tokens > 150:
            raise torch.OutOfMemoryError
        return real(engine, shared, lanes)

    monkeypatch.setattr(stacked, "stacked_losses", short)
    some = cells(here)[:4]
    found = train_together(here.model, some, stacked=True, engine=EngineConfig(launch_tokens=2000, row_tokens=100))
    assert max(tried) > 150 >= tried[-1]
    assert all(farthest(r.intervention, alone(here, c)[0]) <= 1e-9 for c, r in zip(some, found, strict=True))


def test_another_librarys_hook_and_one_line_that_says_so(caplog: pytest.LogCaptureFixture) -> None:
    here = world()
    handle = here.model.model.layers[0].register_forward_hook(lambda *args: None)
    caplog.set_level(logging.WARNING)
    some = cells(here)[:4]
    found = train_together(here.model, some, stacked=True)
    handle.remove()
    assert "without shared launches: block 0 has a forward hook" in caplog.text
    assert farthest(found[3].intervention, alone(here, some[3])[0]) < 1e-6


def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Reads of values that depend on the model's, while a step is taken."""
    found: list[str] = []

    def watch(name: str) -> None:
        real: Callable[..., Any] = getattr(Tensor, name)

        def spy(self: Tensor, *args: Any) -> Any:
            if getattr(self, "from_device", False):
                found.append(name)
            with torch._C.DisableTorchFunctionSubclass():
                return real(self, *args)

        monkeypatch.setattr(Tensor, name, spy)

    for name in ("tolist", "item", "__float__", "__bool__", "numpy"):
        watch(name)
    return found


class OnDevice(Tensor):
    """A value of the device: whatever is made of it is one as well."""

    from_device = True


def test_a_step_reads_the_device_once(monkeypatch: pytest.MonkeyPatch) -> None:
    here = world()
    found, steps = reads(monkeypatch), list[int]()

    def mark(place: Any, name: str) -> None:
        real = getattr(place, name)

        def marked(*args: Any) -> Any:
            made = real(*args)
            on_device = [value.as_subclass(OnDevice) for value in (made if isinstance(made, list) else [made])]
            return on_device if isinstance(made, list) else on_device[0]

        monkeypatch.setattr(place, name, marked)

    mark(stacked, "stacked_losses")
    mark(torch.nn.utils, "clip_grad_norm_")
    mark(torch, "isfinite")
    some = [TrainingCell(here.template, here.rows, run, "c") for run in RUNS[:2]]

    def count(*args: Any) -> None:
        steps.append(len(found))

    train_together(here.model, some, stacked=True, engine=WIDE, progress=count)
    assert steps == [1 + i // 2 for i in range(len(steps))]
    assert len(steps) > 4


def test_artifacts_of_several_runs_are_those_of_each() -> None:
    here = world("qwen2", torch.float32)
    pairs = [dataclasses.replace(pair, concept=f"c{i % 2}") for i, pair in enumerate(PAIRS)]
    runs = [RUNS[0], RUNS[5], RUNS[2]]
    seen: set[tuple[int, str]] = set()

    def progress(place: int, concept: str, *_: float) -> None:
        seen.add((place, concept))

    found = train_artifacts(here.model, here.tokenizer, pairs, runs, stacked=True, progress=progress)
    assert seen == {(0, "c0"), (0, "c1"), (2, "c0"), (2, "c1")}
    for run, artifact in zip(runs, found, strict=True):
        wanted = train_artifact(here.model, here.tokenizer, pairs, run)
        assert artifact.unit is not None
        assert wanted.unit is not None
        assert artifact.unit.r_per_m == pytest.approx(wanted.unit.r_per_m, rel=1e-6)
        assert {k: v for k, v in artifact.record.items() if k != "unit"}.keys() == {
            k for k in wanted.record if k != "unit"
        }
        for concept in ("c0", "c1"):
            # the cached states are those of both concepts' rows: rounding, which Adam's first steps make larger
            assert farthest(artifact[concept], wanted[concept]) <= 1e-5
            assert len(artifact.history[concept]) == len(wanted.history[concept])
