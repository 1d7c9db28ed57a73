"""Hostile artifacts: damaged files, and three in four with a right digest over wrong content."""

from __future__ import annotations

import functools
import json
import os
import random
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save

from easyedit_split.steering.artifact import Artifact
from easyedit_split.steering.artifact_files import CONFIG_FILE, FILES, HISTORY_FILE, TENSOR_FILE, digest_of

from ..small import made, world
from .mutate import damaged_bytes, damaged_json

RECORD: dict[str, Any] = {
    "model": {"id": "tiny", "revision": None, "model_type": "qwen2", "hidden_size": 32, "num_hidden_layers": 3},
    "tokenizer_hash": "00", "objective": "split", "seed": 0, "run": {"tokens": {"max_length": 64}},
    "data": {"name": "x", "split": "train", "dropped": ["x.csv, row 3: field 'a' is empty"], "pair_ids": []},
    "natural_unit": None, "versions": {"torch": "2"},
}  # fmt: skip


@functools.cache
def good() -> tuple[tuple[str, dict[str, bytes]], ...]:
    """The files of some artifacts, by form and file name."""
    here, found = world(dtype=torch.float32), []
    for form, concepts in (("vector", ("default",)), ("lora", ("a", "b")), ("local_weight", ("default",))):
        members = {name: made(here, form, seed=k) for k, name in enumerate(concepts)}
        history = {concepts[0]: [{"step": 1, "loss": 0.5}]}
        artifact = Artifact(members, {**RECORD, "natural_unit": None}, history).with_m(2.0, concepts[0])
        with tempfile.TemporaryDirectory() as folder:
            path = artifact.save_pretrained(Path(folder) / "a")
            found.append((form, {name: (path / name).read_bytes() for name in FILES if (path / name).exists()}))
    return tuple(found)


def case(seed: int, folder: Path) -> str:
    """One artifact: loaded, it must say what its files say."""
    rng = random.Random(seed)
    form, files = rng.choice(good())
    place = folder / "artifact"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    files = dict(files)
    if rng.random() < 0.75:
        config, tensors = json.loads(files[CONFIG_FILE]), _tensors(files[TENSOR_FILE], folder)
        tensors = _other_tensors(rng, tensors) if rng.random() < 0.4 else tensors
        config = damaged_json(rng, config) if rng.random() < 0.8 else config
        if isinstance(config, dict):
            config.pop("digest", None)
            with suppress(TypeError, ValueError):
                config["digest"] = digest_of(config, tensors)
        files[CONFIG_FILE] = json.dumps(config).encode()
        files[TENSOR_FILE] = save(tensors)
    else:
        name = rng.choice(list(files))
        files[name] = damaged_bytes(rng, files[name])
    for name, data in files.items():
        (place / name).write_bytes(data)
    if rng.random() < 0.02:
        name = rng.choice(list(files))
        (place / name).unlink()
        rng.choice((os.mkdir, os.mkfifo))(place / name)
    return _judged(place, files, dict(good())[form])


def _judged(place: Path, files: dict[str, bytes], before: dict[str, bytes]) -> str:
    artifact = Artifact.from_pretrained(place)
    known = (artifact.tokens, artifact.unit, artifact.chosen_m(artifact.concepts[0]))
    assert len(known) == 3
    stored = json.loads(files[CONFIG_FILE])
    stored.pop("digest"), stored.pop("package_version", None)
    said = json.loads(json.dumps(artifact.to_dict()))
    said.pop("package_version")
    tensors = load_file(place / TENSOR_FILE)
    same = {name: torch.equal(value, tensors[name]) for name, value in artifact.tensors().items()}
    if not all(same.values()) or {*same} != {*tensors} or not _agrees(stored, said):
        return "wrong"
    equal = files[CONFIG_FILE] == before[CONFIG_FILE] and files[TENSOR_FILE] == before[TENSOR_FILE]
    return "equal" if equal and files.get(HISTORY_FILE) == before.get(HISTORY_FILE) else "lenient"


def _agrees(stored: Any, said: Any) -> bool:
    """Whether everything stored is said; what is missing may be a default."""
    if isinstance(stored, dict) and isinstance(said, dict):
        return all(key in said and _agrees(value, said[key]) for key, value in stored.items())
    if isinstance(stored, list) and isinstance(said, list):
        return len(stored) == len(said) and all(map(_agrees, stored, said))
    if type(stored) is int and isinstance(said, float):
        return float(stored) == said  # a strength of 40 digits is the nearest number that there is
    return bool(stored == said) or (stored != stored and said != said)


def _tensors(data: bytes, folder: Path) -> dict[str, torch.Tensor]:
    path = folder / "tensors"
    path.write_bytes(data)
    return load_file(path)


def _other_tensors(rng: random.Random, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    name = rng.choice(list(tensors))
    value = tensors.pop(name)
    kind = rng.randrange(6)
    if kind == 0:
        value = value.to(rng.choice((torch.float64, torch.float16, torch.int64, torch.bool)))
    elif kind == 1:
        value = value.reshape(-1)[: rng.randrange(value.numel())].clone()
    elif kind == 2:
        value = value.clone()
        value.view(-1)[0] = rng.choice((float("nan"), float("inf"), 3.0))
    elif kind == 3:
        return tensors
    elif kind == 4:
        name = rng.choice((name + "x", "", "a/b/c", "x" * 2000))
    else:
        value = value.new_zeros(rng.choice(((0,), (1, 1, 1), (1000, 100))))
    return {**tensors, name: value}
