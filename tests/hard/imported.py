"""Hostile files of other tools: PEFT adapters, GGUF files, vectors, as ``import`` reads them."""

from __future__ import annotations

import functools
import json
import random
import shutil
import tempfile
from pathlib import Path

import torch

from easyedit_split.interop.base import FORMATS
from easyedit_split.interop.exporting import export_artifact
from easyedit_split.interop.importing import import_artifact
from easyedit_split.steering.artifact import Artifact
from easyedit_split.types import ConfigError

from ..small import World, made, world
from .mutate import damaged_bytes, damaged_json


@functools.cache
def here() -> World:
    return world("llama", torch.float32)


@functools.cache
def good() -> tuple[tuple[str, str, dict[str, bytes]], ...]:
    """Format, name and files of what this package writes in every format that it reads too."""
    found = []
    for name in FORMATS.names():
        if FORMATS[name].writes is None or not FORMATS[name].reads:
            continue
        for form in ("vector", "lora"):
            artifact = Artifact({"default": made(here(), form, skip_prefix=False)})
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder) / "out"
                try:
                    export_artifact(artifact, name, place, m=1.0, model=here().model, tokenizer=here().tokenizer)
                except ConfigError:
                    continue
                files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
                held = {str(path.relative_to(place)): path.read_bytes() for path in files}
                found.append((name, "out", held))
    assert {"peft"} <= {name for name, _, _ in found}
    return tuple(found)


def case(seed: int, folder: Path) -> str:
    """One file, or one of a folder's files, is damaged: a sentence, or numbers that are finite."""
    rng = random.Random(seed)
    name, called, files = rng.choice(good())
    place = folder / called
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
    which = rng.choice(list(files))
    data = files[which]
    if which.endswith(".json") and rng.random() < 0.7:
        data = json.dumps(damaged_json(rng, json.loads(data))).encode()
    else:
        data = damaged_bytes(rng, data)
    for one, content in {**files, which: data}.items():
        path = place / one if one != "." else place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    settings = {"layer": 1} if "layer" in FORMATS[name].import_reads else {}
    artifact = import_artifact(place, name, model=here().model, tokenizer=here().tokenizer, **settings)
    finite = all(bool(torch.isfinite(value).all()) for value in artifact.tensors().values())
    if data == files[which]:
        return "equal"
    return "lenient" if finite else "wrong"
