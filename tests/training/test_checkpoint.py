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
from easyedit_split.training.train_pairs import train_artifact
from easyedit_split.types import Pair

from ..small import PAIRS, World, run_config, world

CONCEPTS = tuple(
    Pair(pair.prompt, pair.positive, pair.negative, f"c{k % 2}") for k, pair in enumerate((*PAIRS, PAIRS[0]))
)


@pytest.fixture(scope="module")
def here() -> World:
    return world("qwen2", torch.float32)


def stopped_after(steps: int) -> Callable[[], Any]:
    """Asks a run to stop after so many looks, one of which is after every step."""

    @contextmanager
    def stopping() -> Iterator[Callable[[], bool]]:
        looks = iter(range(steps))
        yield lambda: next(looks, None) is None

    return stopping


def trained(here: World, run: RunConfig, checkpoints: Checkpoints | None = None, pairs: Any = CONCEPTS) -> Artifact:
    return train_artifact(here.model, here.tokenizer, pairs, run, checkpoints=checkpoints)


SETTINGS: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 2,
    "lr": 0.05,
    "dropout": 0.3,
    "directions": "both",
    "steering_factors": (0.5, 1.0, 2.0),
}


@pytest.mark.parametrize(
    ("form", "objective", "stops"),
    [
        ("lora", "split", (0, 2, 2)),
        ("vector", "reps", (5,)),
        ("local_weight", "sft", (3,)),
        ("vector", "diff_mean", ()),
    ],
)
def test_resumed_is_uninterrupted(
    here: World, tmp_path: Path, form: str, objective: str, stops: tuple[int, ...]
) -> None:
    run = run_config(form, objective, **({} if objective == "diff_mean" else SETTINGS))
    whole, file = trained(here, run), tmp_path / "c"
    for steps in stops:
        with pytest.raises(KeyboardInterrupt):
            trained(here, run, Checkpoints(file, Every(None, None), stopped_after(steps)))
        assert file.exists()
    last = Checkpoints(file, Every(1))
    again = trained(here, run, last)
    assert again.digest() == whole.digest()
    assert again.history == whole.history
    last.remove()
    assert not file.exists()


def test_control_without_the_noise_it_is_another_run(
    here: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_config("vector", "split", **SETTINGS)
    with pytest.raises(KeyboardInterrupt):
        trained(here, run, Checkpoints(tmp_path / "c", Every(), stopped_after(2)))
    monkeypatch.setattr(torch.Generator, "set_state", lambda self, state: self)
    assert trained(here, run, Checkpoints(tmp_path / "c")).digest() != trained(here, run).digest()


@pytest.mark.parametrize("every", [Every(2), Every(None, 0.0)])
def test_it_is_written_as_often_as_asked(
    here: World, tmp_path: Path, every: Every, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    save = Checkpoints._save

    def counted(self: Checkpoints) -> None:
        save(self)
        written.append(self.steps)

    monkeypatch.setattr(Checkpoints, "_save", counted)
    trained(here, run_config(**SETTINGS), Checkpoints(tmp_path / "c", every), PAIRS)
    assert written == ([2, 4, 6] if every.steps else [*range(1, 7), 6])


def flipped(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("other", ["seed", "weights", "pairs", "damage"])
def test_another_runs_or_a_damaged_one_is_put_aside(
    here: World, tmp_path: Path, other: str, caplog: pytest.LogCaptureFixture
) -> None:
    run, file = run_config(**SETTINGS), tmp_path / "c"
    with pytest.raises(KeyboardInterrupt):
        trained(here, run, Checkpoints(file, Every(), stopped_after(2)), PAIRS)
    before = file.read_bytes()
    pairs: Any = PAIRS
    if other == "seed":
        run = run_config(**SETTINGS, seed=1)
    elif other == "weights":
        here = world("qwen2", torch.float32)
        with torch.no_grad():
            here.model.model.layers[0].mlp.up_proj.weight[3, 5] += 0.5
    elif other == "pairs":
        pairs = PAIRS[:4]
    else:
        flipped(file)
        before = file.read_bytes()
    with caplog.at_level(logging.WARNING):
        again = trained(here, run, Checkpoints(file), pairs)
    assert again.digest() == trained(here, run, None, pairs).digest()
    assert file.with_name("c.old").read_bytes() == before
    assert {"seed": "train.seed", "weights": "weights", "pairs": "data", "damage": "damaged"}[other] in caplog.text


def test_a_full_disk_does_not_end_the_run(here: World, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    run = run_config(**SETTINGS)
    blocked = Checkpoints(tmp_path / "file" / "c", Every(1))
    assert trained(here, run, blocked).digest() == trained(here, run).digest()
    assert caplog.text.count("no checkpoint is kept") == 1
