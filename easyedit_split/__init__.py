"""Steering of language models by vectors, LoRA and local weight updates: ``h' = (W + m1 dW) h + (b + m2 db)``.

    import easyedit_split as es

    model, tokenizer = es.load_model("testbed:gemma2")
    steering = es.train(model, tokenizer, es.load_dataset("testbed:reviews", split="train"))
    table = es.sweep(model, tokenizer, es.load_dataset("testbed:reviews", split="dev"), steering)
    steering = steering.at(es.recommend(table))
    with steering(model):
        model.generate(...)

Importing this package is light: torch and transformers load with the first name that needs them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.3.1"

_HOMES = {
    "Artifact": "steering.artifact",
    "Budget": "analysis",
    "Collateral": "analysis",
    "Generated": "steering.generate",
    "Journal": "files.journal",
    "spread_of": "analysis",
    "ArtifactError": "types",
    "ConfigError": "types",
    "DataError": "types",
    "GenerateConfig": "steering.generate",
    "Intervention": "steering.intervention",
    "LoadOptions": "model.load_options",
    "Pair": "types",
    "PairTable": "datasets.base",
    "Recommendation": "analysis",
    "RunConfig": "training.run_config",
    "Scores": "types",
    "SteeringError": "types",
    "Steering": "steering.steering",
    "Template": "text.prompt_tokens",
    "TokenConfig": "config",
    "TrainConfig": "config",
    "as_pairs": "datasets.in_memory",
    "attach": "steering.attach",
    "compose": "training.recipes",
    "encode_pairs": "text.encode_pairs",
    "export_artifact": "interop.exporting",
    "fit_sweep": "analysis",
    "generate": "api",
    "import_artifact": "interop.importing",
    "load_dataset": "datasets.load",
    "load_model": "model.load",
    "mean_curve": "sweep_curves",
    "parse_grid": "config",
    "plot_sweep": "analysis.figures.plots",
    "read_sweep": "sweep_table",
    "recommend": "analysis",
    "save_figure": "analysis.figures.plots",
    "sweep": "api",
    "train": "api",
    "write_table": "sweep_table",
}
"""Every public name and the module that it is loaded from."""

__all__ = [
    "Artifact",
    "ArtifactError",
    "Budget",
    "Collateral",
    "ConfigError",
    "DataError",
    "GenerateConfig",
    "Generated",
    "Intervention",
    "Journal",
    "LoadOptions",
    "Pair",
    "PairTable",
    "Recommendation",
    "RunConfig",
    "Scores",
    "Steering",
    "SteeringError",
    "Template",
    "TokenConfig",
    "TrainConfig",
    "__version__",
    "as_pairs",
    "attach",
    "compose",
    "encode_pairs",
    "export_artifact",
    "fit_sweep",
    "generate",
    "import_artifact",
    "load_dataset",
    "load_model",
    "mean_curve",
    "parse_grid",
    "plot_sweep",
    "read_sweep",
    "recommend",
    "save_figure",
    "spread_of",
    "sweep",
    "train",
    "write_table",
]

if TYPE_CHECKING:
    from .analysis import Budget, Collateral, Recommendation, fit_sweep, recommend, spread_of
    from .analysis.figures.plots import plot_sweep, save_figure
    from .api import generate, sweep, train
    from .config import TokenConfig, TrainConfig, parse_grid
    from .datasets.base import PairTable
    from .datasets.in_memory import as_pairs
    from .datasets.load import load_dataset
    from .files.journal import Journal
    from .interop.exporting import export_artifact
    from .interop.importing import import_artifact
    from .model.load import load_model
    from .model.load_options import LoadOptions
    from .steering.artifact import Artifact
    from .steering.attach import attach
    from .steering.generate import GenerateConfig, Generated
    from .steering.intervention import Intervention
    from .steering.steering import Steering
    from .sweep_curves import mean_curve
    from .sweep_table import read_sweep, write_table
    from .text.encode_pairs import encode_pairs
    from .text.prompt_tokens import Template
    from .training.recipes import compose
    from .training.run_config import RunConfig
    from .types import ArtifactError, ConfigError, DataError, Pair, Scores, SteeringError


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
