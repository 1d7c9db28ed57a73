"""Tiny artifacts, other tools' own readers, and the sentence of a refusal."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from easyedit_split.interop.exporting import Exported, export_artifact
from easyedit_split.interop.importing import import_artifact
from easyedit_split.steering.artifact import Artifact
from easyedit_split.steering.attach import attach
from easyedit_split.types import SteeringError

from ..small import World, made, world
from ..tiny import exact_norms

IDS = torch.randint(3, 60, (2, 11), generator=torch.Generator().manual_seed(5))
M = 1.5


def exact_world(family: str = "llama", dtype: torch.dtype = torch.float64) -> World:
    """A tiny model whose norms compute in its own dtype."""
    here = world(family, dtype)
    exact_norms(here.model)
    return here


def artifact(here: World, form: str = "lora", **settings: Any) -> Artifact:
    """A random intervention that steers every token."""
    return Artifact({"default": made(here, form, **{"skip_prefix": False, **settings})})


def logits(model: Any) -> Tensor:
    with torch.no_grad():
        found: Tensor = model(input_ids=IDS).logits
    return found


def steered(here: World, held: Artifact, m: float | tuple[float, float] = M) -> Tensor:
    with attach(here.model, held.only(), m):
        return logits(here.model)


def out(here: World, held: Artifact, to: str, place: Path, **settings: Any) -> Exported:
    return export_artifact(held, to, place, model=here.model, tokenizer=here.tokenizer, **{"m": M, **settings})


def back(here: World, from_: str, place: Path, **settings: Any) -> Artifact:
    return import_artifact(place, from_, model=here.model, tokenizer=here.tokenizer, **settings)


@contextmanager
def peft_model(here: World, folder: Path) -> Iterator[Any]:
    """PEFT's own reading of an adapter."""
    from peft import PeftModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a bias of an adapter on a map without one
        yield PeftModel.from_pretrained(copy.deepcopy(here.model), folder).eval()


def far(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max())


def refused(place: Path, *words: str, of: type[SteeringError] = SteeringError) -> Any:
    """The body must be refused with a sentence that has these words, and leave nothing at ``place``."""

    @contextmanager
    def inside() -> Iterator[None]:
        before = sorted(place.parent.iterdir())
        with pytest.raises(of) as caught:
            yield
        said = str(caught.value)
        assert "\n" not in said
        assert all(word in said for word in words), said
        assert sorted(place.parent.iterdir()) == before

    return inside()
