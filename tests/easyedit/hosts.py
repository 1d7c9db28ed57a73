"""The hosts of the contract tests: a stand-in written for them, and a real clone where EASYEDIT_HOME names one."""

from __future__ import annotations

import inspect
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

STANDIN = Path(__file__).parent / "standin"
CLONE = Path(os.environ["EASYEDIT_HOME"]).resolve() if os.environ.get("EASYEDIT_HOME") else None

ROWS = [
    {
        "question": f"What is item {i}?",
        "matching": f"Item {i} is good and {'nice' if i % 2 else 'fine'}.",
        "not_matching": f"Item {i} is bad.",
    }
    for i in range(5)
]
CONCEPTS = [
    (
        i,
        [{**row, "category": "positive", "output_concept": f"concept {i}", "concept_id": i} for row in ROWS[i : i + 3]],
    )
    for i in range(2)
]
TRAINING = {
    "layers": [1, 2],
    "n_epochs": 2,
    "batch_size": 4,
    "lr": 0.05,
    "low_rank_dimension": 2,
    "steering_factors": [1.0, 2.0],
}
FORMS = ("vector", "lora", "local_weight")


@dataclass(frozen=True)
class HostUnderTest:
    name: str
    path: Path

    @property
    def is_real(self) -> bool:
        return self.name == "clone"

    def config(self, **values: Any) -> Any:
        """A top config as the host's scripts get it."""
        if self.is_real:
            from omegaconf import OmegaConf

            return OmegaConf.create(values)
        from steer.utils import Config

        return Config(values)

    def needs_sound_vector_applier(self) -> None:
        """Skip where the host's own ``sft`` applier cannot apply a vector."""
        interventions = self.module("steer.models.interventions")
        if self.is_real and "self.multiplier" not in inspect.getsource(interventions.VectorIntervention):
            pytest.skip("this commit's own vector applier ignores m, and reads one number of a saved vector")

    def module(self, name: str) -> Any:
        """A module of the host (at old commits a star import hides some behind others)."""
        __import__(name)
        return sys.modules[name]


def purge() -> None:
    """Forget the host, so that another one can be imported."""
    for name in [name for name in sys.modules if name == "steer" or name.startswith("steer.")]:
        del sys.modules[name]


def write_yaml(path: Path, **values: Any) -> str:
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return str(path)


def top_config(folder: Path, model: Path, **values: Any) -> dict[str, Any]:
    return {
        "model_name_or_path": str(model),
        "dtype": "float32",
        "torch_dtype": "float32",
        "device": "cpu",
        "seed": 42,
        "use_chat_template": True,
        "system_prompt": "",
        "steer_train_hparam_paths": [],
        "steer_vector_output_dirs": [str(folder / "vectors")],
        "steer_train_dataset": "toy",
        "save_vectors": True,
        "apply_steer_hparam_paths": [],
        "steer_vector_load_dir": None,
        "generation_data": ["toy"],
        "generation_data_size": None,
        "generation_output_dir": str(folder / "generation"),
        "num_responses": 1,
        "steer_from_end_position": False,
        "generate_orig_output": True,
        "generation_params": {"max_new_tokens": 6, "do_sample": False},
        **values,
    }
