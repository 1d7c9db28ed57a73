"""Interventions: a place that a model has not, or an unknown setting, is refused when it is said."""

from __future__ import annotations

from typing import Any

import pytest

from easyedit_split.config import build
from easyedit_split.steering.intervention import Intervention, InterventionConfig
from easyedit_split.types import ConfigError

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
