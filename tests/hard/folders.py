"""Hostile model folders and other tools' files of tensors."""

from __future__ import annotations

import functools
import io
import json
import pickle
import random
import shutil
from pathlib import Path
from typing import Any

import torch

from easyedit_split.interop.easyedit_files import from_state, read_file, select
from easyedit_split.model.load import load_model
from easyedit_split.types import ArtifactError

from .. import toy_tokenizers
from ..tiny import tiny_model
from .mutate import ODD, damaged_bytes, damaged_json


@functools.cache
def good_model(folder: Path) -> Path:
    """A tiny model's folder."""
    place = folder / "good"
    tokenizer = toy_tokenizers.qwen()
    network = tiny_model("qwen2", torch.float32, vocab_size=len(tokenizer))
    network.set_attn_implementation("eager")
    network.save_pretrained(place)
    tokenizer.save_pretrained(place)
    return place


def model_case(seed: int, folder: Path) -> str:
    """One folder with a damaged file: a sentence, or the same weights."""
    rng = random.Random(seed)
    good, place = good_model(folder), folder / "model"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(good, place)
    names = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "generation_config.json")
    file = place / rng.choice(names)
    data = file.read_bytes()
    if file.suffix == ".json" and rng.random() < 0.6:
        file.write_text(json.dumps(damaged_json(rng, json.loads(data))))
    elif rng.random() < 0.15:
        file.unlink()
    else:
        file.write_bytes(damaged_bytes(rng, data))
    network, _ = load_model(str(place), device="cpu")
    known = _weights(good)
    if file.name == "model.safetensors" and file.read_bytes() != data:
        return "lenient"  # a checkpoint has no checksum: any weights may be meant
    found = network.state_dict()
    same = all(name in found and torch.equal(found[name].float(), value) for name, value in known.items())
    return "lenient" if same or file.name == "config.json" else "wrong"


@functools.cache
def _weights(good: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(good / "model.safetensors")


class _Evil:
    """What a pickle would execute."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("import pathlib; pathlib.Path('/tmp/executed-by-hard').touch()",)


def vector_case(seed: int, folder: Path) -> str:
    """One ``layer_L.pt``: nothing in it is executed, and what is read is what it holds."""
    rng = random.Random(seed)
    vector = torch.arange(32, dtype=torch.float32)
    state: Any = rng.choice((
        vector, {"weight": torch.ones(48, 32), "bias": torch.zeros(32)}, {0: vector, 1: vector}, _Evil(),
        {"lora_A": torch.ones(48, 4), "lora_B": torch.ones(4, 32), "r": 4, "alpha": 4}, vector[:0], {"v": _Evil()},
        {"weight": torch.ones(48, 32), "bias": torch.zeros(3)}, {"weight": vector, "bias": 3}, [vector], None, {},
        {"lora_A": torch.ones(2), "lora_B": "x"}, vector * float("nan"), vector.to(torch.complex64), *ODD[:20],
    ))  # fmt: skip
    held, path = io.BytesIO(), folder / "layer_1.pt"
    torch.save(state, held, pickle_protocol=rng.choice((2, 4)))
    data = held.getvalue()
    if rng.random() < 0.6:
        data = damaged_bytes(rng, data)
    elif rng.random() < 0.1:
        data = pickle.dumps(state if not isinstance(state, torch.Tensor) else 3)
    path.write_bytes(data)
    marker = Path("/tmp/executed-by-hard")
    marker.unlink(missing_ok=True)
    try:
        made = from_state(select(read_file(path), 0, path.name), 1, path.name)
    except ArtifactError:
        if marker.exists():
            return "wrong"
        raise
    values = dict(made[made.sites[0]].named_parameters())
    return (
        "lenient"
        if not marker.exists() and all(bool(torch.isfinite(value).all()) for value in values.values())
        else "wrong"
    )
