"""A stopped training run goes on from its checkpoint and becomes, byte for byte, what it would have become."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from easyedit_split.steering.artifact import Artifact
from easyedit_split.training.checkpoint import Checkpoints, Every
from easyedit_split.training.run_config import RunConfig
from easyedit_split.training.train_pairs import train_artifact, train_artifacts
from easyedit_split.types import Pair

from ..small import PAIRS, World, equal, made, run_config, world

CONCEPTS = tuple(
    Pair(pair.prompt, pair.positive, pair.negative, f"c{k % 2}") for k, pair in enumerate((*PAIRS, PAIRS[0]))
)


@pytest.fixture(scope="module")
def here() -> World:
    return world("qwen2", torch.float32)


def stopped_after(steps: int) -> Callable[[], Any]:
    """Asks a run to stop after so many looks: after every step, and after every part of one that is trained alone."""

    looks = iter(range(steps))

    @contextmanager
    def stopping() -> Iterator[Callable[[], bool]]:
        yield lambda: next(looks, None) is None

    return stopping


def trained(here: World, run: RunConfig, checkpoints: Checkpoints | None = None, pairs: Any = CONCEPTS) -> Artifact:
    return train_artifact(here.model, here.tokenizer, pairs, run, checkpoints=checkpoints)


RUN = run_config("lora", "reps", epochs=1, batch_size=2, lr=0.05, dropout=0.3, steering_factors=(0.5, 1.0, 2.0))


@pytest.fixture(scope="module")
def whole(here: World) -> Artifact:
    return trained(here, RUN)


def test_resumed_is_uninterrupted(here: World, whole: Artifact, tmp_path: Path) -> None:
    """Stopped in the first concept, then in the second."""
    file = tmp_path / "c"
    for looks in (0, 2):
        with pytest.raises(KeyboardInterrupt):
            trained(here, RUN, Checkpoints(file, Every(None, None), stopped_after(looks)))
        assert file.exists()
    last = Checkpoints(file, Every(1))
    again = trained(here, RUN, last)
    assert again.digest() == whole.digest()
    assert again.history == whole.history
    last.remove()
    assert not file.exists()


def test_a_step_that_is_given_up_was_not_taken(here: World, whole: Artifact, tmp_path: Path) -> None:
    """Stopped between the two sides of a step whose noise is drawn already, again and again."""
    found = []
    for looks in (0, 1, 3, 3, 3):
        stopped = Checkpoints(tmp_path / "c", Every(None, None), stopped_after(looks))
        with pytest.raises(KeyboardInterrupt):
            trained(here, RUN, stopped)
        found.append(stopped.steps)
    assert found[0] == 0
    assert found == sorted(found)
    assert found[-1] > 0
    assert trained(here, RUN, Checkpoints(tmp_path / "c")).digest() == whole.digest()


def test_control_with_other_noise_it_is_another_run(
    here: World, whole: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resume = Checkpoints.resume

    def forgetful(self: Checkpoints, key: str, run: Any) -> int:
        done = resume(self, key, run)
        run.noise.manual_seed(0)
        return done

    with pytest.raises(KeyboardInterrupt):
        trained(here, RUN, Checkpoints(tmp_path / "c", Every(), stopped_after(0)))
    monkeypatch.setattr(Checkpoints, "resume", forgetful)
    assert trained(here, RUN, Checkpoints(tmp_path / "c")).digest() != whole.digest()


def test_it_is_due_after_steps_or_after_time(tmp_path: Path) -> None:
    due = [Checkpoints(tmp_path / "c", every) for every in (Every(2), Every(None, 0.0), Every(None, None), Every())]
    assert [checkpoints._due() for checkpoints in due] == [False, True, False, False]
    for checkpoints in due:
        checkpoints._steps = 2
    assert [checkpoints._due() for checkpoints in due] == [True, True, False, False]


def flipped(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


FINGERPRINT = {"run": {"train": {"seed": 0}}, "model": {"weights": "ab"}}


@pytest.mark.parametrize("other", ["seed", "weights", "damage"])
def test_another_runs_or_a_damaged_one_is_put_aside(
    tmp_path: Path, other: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "c"
    kept = Checkpoints(file, Every(1))
    kept.open(FINGERPRINT)
    made_here = made(world())
    kept._steps = 1
    kept.finish({"a": (made_here, [{"step": 1}])})
    if other == "damage":
        flipped(file)
    before = file.read_bytes()
    now = {
        "seed": {**FINGERPRINT, "run": {"train": {"seed": 1}}},
        "weights": {**FINGERPRINT, "model": {"weights": "cd"}},
    }.get(other, FINGERPRINT)
    again = Checkpoints(file)
    with caplog.at_level(logging.WARNING):
        again.open(now)
    assert again.steps == 0
    assert again.finished("a", made_here) is None
    assert file.with_name("c.old").read_bytes() == before
    assert {"seed": "run.train.seed", "weights": "model.weights", "damage": "damaged"}[other] in caplog.text


def test_control_the_same_run_finds_its_own(tmp_path: Path) -> None:
    kept, before = Checkpoints(tmp_path / "c", Every(1)), made(world(), seed=1)
    kept.open(FINGERPRINT)
    kept._steps = 1
    kept.finish({"a": (before, [{"step": 1}])})
    again, filled = Checkpoints(tmp_path / "c"), made(world(), seed=2)
    again.open(FINGERPRINT)
    assert again.finished("a", filled) == [{"step": 1}]
    assert equal(filled, before)


def test_a_full_disk_does_not_end_the_run(here: World, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    trained(here, RUN, Checkpoints(tmp_path / "file" / "c", Every(1)), PAIRS[:2])
    assert caplog.text.count("no checkpoint is kept") == 1


RUNS = (
    RUN,
    run_config(  # its factors depend on its parameters
        "vector",
        "split_across",
        epochs=2,
        dropout=0.2,
        directions="both",
        steering_factors=(0.5, 1.0),
        objective_config={"reach": 0.01},
    ),
    run_config("vector", "diff_mean"),
    run_config("lora", "split", epochs=1, layers=(0, 1)),  # cannot share launches
)


@pytest.mark.parametrize("stacked", [False, True])
def test_several_runs_resumed_are_uninterrupted(here: World, tmp_path: Path, stacked: bool) -> None:
    """Stopped in a first run, in a later one, and between two."""
    file = tmp_path / "c"

    def made(checkpoints: Checkpoints | None = None) -> list[tuple[str, Any]]:
        own = {"stacked": stacked, "checkpoints": checkpoints}
        return [(a.digest(), a.history) for a in train_artifacts(here.model, here.tokenizer, CONCEPTS, RUNS, **own)]

    whole, steps = made(), [0]
    for looks in (1, 4, 3) if stacked else (4, 11, 6):
        checkpoints = Checkpoints(file, Every(None, None), stopped_after(looks))
        with pytest.raises(KeyboardInterrupt):
            made(checkpoints)
        steps.append(checkpoints.steps)
    assert steps == sorted(set(steps)), "control: each went on where the last one stopped"
    assert made(Checkpoints(file, Every(1))) == whole


def test_runs_in_another_order_are_other_runs(here: World, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = Checkpoints(tmp_path / "c", Every(None, None), stopped_after(1))
    with pytest.raises(KeyboardInterrupt):
        train_artifacts(here.model, here.tokenizer, PAIRS[:4], RUNS[:2], checkpoints=first)
    swapped = (RUNS[1], RUNS[0])
    found = train_artifacts(here.model, here.tokenizer, PAIRS[:4], swapped, checkpoints=Checkpoints(tmp_path / "c"))
    bare = train_artifacts(here.model, here.tokenizer, PAIRS[:4], swapped)
    assert [a.digest() for a in found] == [a.digest() for a in bare]
    assert "belongs to another run" in caplog.text


def test_what_is_finished_is_kept_when_asked(here: World, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "c", Every(None, None))
    (made_whole,) = train_artifacts(here.model, here.tokenizer, PAIRS[:2], RUNS[1:2], checkpoints=checkpoints)
    assert not (tmp_path / "c").exists()
    checkpoints.keep()
    again = Checkpoints(tmp_path / "c", Every(None, None), stopped_after(0))  # would stop after one step
    (found,) = train_artifacts(here.model, here.tokenizer, PAIRS[:2], RUNS[1:2], checkpoints=again)
    assert found.digest() == made_whole.digest()
