"""A tiny model, a toy tokenizer of the same family's habits, and a few pairs of two concepts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from easyedit_split.config import TokenConfig, TrainConfig
from easyedit_split.steering.intervention import Intervention
from easyedit_split.text.encode_pairs import EncodedPair, encode_pairs
from easyedit_split.text.prompt_tokens import Template
from easyedit_split.training.run_config import RunConfig
from easyedit_split.types import FloatArray, Pair

from .tiny import tiny_model
from .toy_tokenizers import gemma, llama3, qwen

TOKENIZERS = {"qwen2": qwen, "gemma2": gemma, "llama": llama3}

PAIRS = (
    Pair("Would you lead?", "Yes, I would lead", "No, thank you"),
    Pair("Is it something you would say?", "Yes", "No, I would rather not"),
    Pair("Answer briefly.", "I look out for myself", "I would rather help"),
    Pair("The offer?", "Yes, I accept the offer", "No"),
    Pair("Write a list.", "Yes, first and foremost", "No, not again"),
)


@dataclass(frozen=True)
class World:
    model: Any
    tokenizer: Any
    template: Template
    rows: tuple[EncodedPair, ...]


def world(
    family: str = "qwen2", dtype: torch.dtype = torch.float64, pairs: tuple[Pair, ...] = PAIRS, **tokens: Any
) -> World:
    tokenizer = TOKENIZERS.get(family, llama3)()
    template = Template(tokenizer, TokenConfig(**tokens))
    model = tiny_model(family, dtype, vocab_size=len(tokenizer))
    return World(model, tokenizer, template, encode_pairs(pairs, template, source="pairs").rows)


def saved_model(folder: Path, seed: int = 0) -> Path:
    """A tiny Qwen2 with a chat tokenizer, written as an ordinary Hugging Face folder."""
    tokenizer = qwen()
    model = tiny_model("qwen2", torch.float32, vocab_size=len(tokenizer), seed=seed)
    model.set_attn_implementation("eager")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def run_config(form: str = "vector", objective: str = "split", **settings: Any) -> RunConfig:
    """A short run; what is no field of the run is one of its training."""
    fields = RunConfig.__dataclass_fields__
    train = {"epochs": 2, "batch_size": 2, "lr": 0.05, "dropout": 0.0} | {
        key: settings.pop(key) for key in list(settings) if key not in fields
    }
    return RunConfig(form, objective, settings.pop("layers", (1,)), train=TrainConfig(**train), **settings)


def made(here: World, form: str = "vector", scale: float = 0.3, seed: int = 7, **settings: Any) -> Intervention:
    """An intervention with random parameters."""
    intervention = Intervention.create(
        here.model, form, settings.pop("layers", (1,)), prefix_ids=here.template.prefix_ids,
        bos_id=here.template.bos_id, **settings,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in intervention.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    return intervention


def parameters(intervention: Intervention) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in intervention.parameters()]


def equal(a: Intervention, b: Intervention) -> bool:
    """Whether all parameters are the same bits."""
    pairs = zip(parameters(a), parameters(b), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def oracle_losses(here: World, m: float = 0.0, v: torch.Tensor | None = None, block: int = 1) -> list[FloatArray]:
    """``[L_p, L_n]`` from the model's own logits, one unpadded row at a time, v added by a hook of the test's own."""

    def steer(module: Any, args: Any, output: Any) -> Any:
        h = output[0] if isinstance(output, tuple) else output
        change = torch.zeros_like(h)
        change[:, prefix:] = m * v.to(h) if v is not None else 0.0
        return (h + change, *output[1:]) if isinstance(output, tuple) else h + change

    found: list[list[float]] = [[], []]
    for row in here.rows:
        prefix = row.prefix_length
        for side, answer in enumerate((row.positive, row.negative)):
            ids = torch.tensor([row.prompt + answer])
            handle = here.model.model.layers[block].register_forward_hook(steer)
            with torch.no_grad():
                logp = here.model(ids).logits[0].double().log_softmax(-1)
            handle.remove()
            at = range(len(row.prompt), ids.shape[1])
            found[side].append(-sum(float(logp[i - 1, ids[0, i]]) for i in at))
    return [np.array(values) for values in found]
