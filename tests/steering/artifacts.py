"""Artifacts of a tiny model."""

from __future__ import annotations

from typing import Any

from easyedit_split.model.describe import describe
from easyedit_split.steering.artifact import Artifact

from ..small import made, world


def artifact(form: str = "vector", layers: tuple[int, ...] = (0, 2), **settings: Any) -> Artifact:
    here = world()
    record = {"model": describe(here.model, "tiny"), "objective": "split", "seed": 3, "note": "naïve"}
    history = {"default": [{"step": 1, "loss": 0.1}, {"step": 2, "loss": 1 / 3}]}
    return Artifact({"default": made(here, form, layers=layers, **settings)}, record, history)
