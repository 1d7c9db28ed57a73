"""One view of steering: vectors, LoRA and local weight updates as ``h' = (W + m1 dW) h + (b + m2 db)``.

    from easyedit_split import RunConfig, load_dataset, load_model     # names below, loaded on first use
    from easyedit_split.steering.attach import attach                           # steer a model at strength m
    from easyedit_split.training.pipeline import sweep, train                   # pairs -> artifact -> table

Importing this package is light: torch and transformers load with the first name that needs them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Artifact": "steering.artifact",
    "ConfigError": "types",
    "DataError": "types",
    "ArtifactError": "types",
    "GenerateConfig": "steering.generate",
    "Intervention": "steering.intervention",
    "Pair": "types",
    "RunConfig": "training.run_config",
    "Scores": "types",
    "PairTable": "datasets.base",
    "SplitError": "types",
    "Template": "text.template",
    "TokenConfig": "config",
    "TrainConfig": "config",
    "compose": "training.recipes",
    "encode_pairs": "text.encode",
    "load_dataset": "datasets.load",
    "load_model": "model.load",
    "mean_curve": "means",
    "parse_grid": "config",
}

__all__ = [
    "Artifact",
    "ArtifactError",
    "ConfigError",
    "DataError",
    "GenerateConfig",
    "Intervention",
    "Pair",
    "PairTable",
    "RunConfig",
    "Scores",
    "SplitError",
    "Template",
    "TokenConfig",
    "TrainConfig",
    "__version__",
    "compose",
    "encode_pairs",
    "load_dataset",
    "load_model",
    "mean_curve",
    "parse_grid",
]

if TYPE_CHECKING:
    from .config import TokenConfig, TrainConfig, parse_grid
    from .datasets.base import PairTable
    from .datasets.load import load_dataset
    from .means import mean_curve
    from .model.load import load_model
    from .steering.artifact import Artifact
    from .steering.generate import GenerateConfig
    from .steering.intervention import Intervention
    from .text.encode import encode_pairs
    from .text.template import Template
    from .training.recipes import compose
    from .training.run_config import RunConfig
    from .types import ArtifactError, ConfigError, DataError, Pair, Scores, SplitError


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
