"""Runs of the host's own flow, as its scripts do them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from easyedit_split.model.sites import attention_of

from .hosts import TRAINING, HostUnderTest, top_config, write_yaml


def train_in_host(
    host: HostUnderTest,
    folder: Path,
    model: Path,
    dataset: Any,
    alg_name: str = "SPLIT",
    top: Any = None,
    **values: Any,
) -> Any:
    """``generate_vectors``: what ``vectors_generate.py`` does. Returns the vectors of dataset ``toy``."""
    content = {"alg_name": alg_name, **TRAINING, **values}
    path = write_yaml(folder / f"generate_{alg_name.replace('/', '_')}.yaml", **content)
    config = host.config(**top_config(folder, model, steer_train_hparam_paths=[path], **(top or {})))
    generator = host.module("steer.vector_generators.vector_generators").BaseVectorGenerator(config)
    return generator.generate_vectors({"toy": dataset})["toy"][alg_name]


def applier(
    host: HostUnderTest,
    folder: Path,
    model: Path,
    methods: dict[str, dict[str, Any]],
    load_dirs: dict[str, Path] | None = None,
    vectors: dict[str, Any] | None = None,
    **top: Any,
) -> Any:
    """``apply_vectors``: what ``vectors_apply.py`` does, for one or several methods. Returns the applier."""
    paths = [
        write_yaml(folder / f"apply_{name.replace('/', '_')}.yaml", alg_name=name, **values)
        for name, values in methods.items()
    ]
    dirs = [str((load_dirs or {}).get(name, folder)) for name in methods]
    values = {"apply_steer_hparam_paths": paths, "steer_vector_load_dir": dirs, **top}
    config = host.config(**top_config(folder, model, **values))
    found = host.module("steer.vector_appliers.vector_applier").BaseVectorApplier(config)
    found.apply_vectors(vectors)
    return found


def bare_model(path: Path) -> tuple[Any, Any]:
    """The same model without any wrapper, with the attention that its family is defined by."""
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    backend = attention_of(model)
    if backend:
        model.set_attn_implementation(backend)
    return model.eval(), AutoTokenizer.from_pretrained(path)


def prompt_ids(tokenizer: Any, text: str = "What is item 3?") -> torch.Tensor:
    messages = [{"role": "user", "content": text}]
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    ids: torch.Tensor = tokenizer(rendered, return_tensors="pt", add_special_tokens=False)["input_ids"]
    return ids


@torch.no_grad()
def logits(model: Any, ids: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = model(ids).logits
    return found
