"""Interventions: a place that a model has not, or an unknown setting, is refused when it is said."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from easyedit_split.config import build
from easyedit_split.scoring.engine.scorer import scores_over_m
from easyedit_split.scoring.natural_unit import natural_unit
from easyedit_split.steering.attach import attach
from easyedit_split.steering.forms.vector import Vector
from easyedit_split.steering.intervention import Intervention, InterventionConfig
from easyedit_split.types import ConfigError

from ..small import made, world
from ..tiny import BLOCKS, tiny_model


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"layers": (BLOCKS,)}, f"layer {BLOCKS} does not exist: this model has blocks 0 to {BLOCKS - 1}"),
        ({"layers": ()}, "no sites"),
        ({"layers": (1, 1)}, "twice"),
        ({"layers": (0,), "site": "mlp.down"}, "did you mean 'mlp.down_proj'"),
        ({"layers": (0,), "site": "mlp.up_proj", "placement": "block_output"}, "output width 48"),
    ],
)
def test_where_nothing_could_be_steered_is_said_at_once(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Intervention.create(tiny_model("llama"), "lora", **settings)


@pytest.mark.parametrize(
    ("key", "value", "words"), [("placement", "sight", "'site'"), ("positions", "answers", "'answer'")]
)
def test_an_unknown_placement_or_policy_names_the_nearest(key: str, value: str, words: str) -> None:
    good = {"form": "lora", "sites": ["0.mlp.down_proj"]}
    assert build(InterventionConfig, good, "test").placement == "site"
    with pytest.raises(ConfigError, match=f"did you mean {words}"):
        build(InterventionConfig, {**good, key: value}, "test")


def test_parameters_move_to_where_their_block_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    here = world()
    intervention = made(here, layers=(0, 1))
    moved: list[torch.device] = []
    monkeypatch.setattr(Vector, "to", lambda self, device: moved.append(device))
    intervention.onto(here.model)
    assert moved == [torch.device("cpu")] * 2
    here.model.model.layers[1].to("meta")  # a block that is offloaded
    intervention.onto(here.model)
    assert len(moved) == 3


def test_what_uses_an_intervention_moves_it_first(monkeypatch: pytest.MonkeyPatch) -> None:
    here = world()
    intervention = made(here)
    asked: list[str] = []
    monkeypatch.setattr(Intervention, "onto", lambda self, model: asked.append("moved"))
    with attach(here.model, intervention, 1.0):
        here.model(torch.tensor([here.rows[0].prompt]))
    assert asked == ["moved"]
    list(scores_over_m(here.model, here.rows, intervention, [1.0]))
    assert len(asked) > 1
    before = len(asked)
    natural_unit(here.model, here.rows, intervention)
    assert len(asked) == before + 1
