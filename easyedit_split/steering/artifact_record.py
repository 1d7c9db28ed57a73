"""What an artifact's files state is checked before anything is made of it: kinds of the record's fields, and sizes.

The parameters that the configuration asks for are laid out without memory (torch's meta device) and compared with the
tensors that the file holds, so that a stated shape of a terabyte allocates nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..config import TokenConfig, build, require
from ..files.reading import listed, shown
from ..types import ArtifactError
from .artifact_files import digest_of
from .intervention import Intervention, InterventionConfig
from .strength_grid import NaturalUnit

_LARGEST = 2**31
_MAPPINGS = ("model", "run", "data", "versions", "site_is_block_output")
_TEXTS: Mapping[str, tuple[str, ...]] = {
    "": ("tokenizer_hash", "objective", "stopped"),
    "model": ("id", "revision", "model_type", "dtype", "attention", "weights", "config", "generation_config"),
    "data": ("name", "split", "sha256", "pairs_sha256"),
}
_INTEGERS: Mapping[str, tuple[str, ...]] = {"": ("seed",), "model": ("hidden_size", "num_hidden_layers"), "data": ()}
_LISTS = ("pair_ids", "dropped", "notes")


def require_digest(folder: Path, stored: dict[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Take the digest out of a configuration file's content, and raise unless it is that of the files.

    Args:
        folder: the artifact's, for messages.
        stored: the configuration file's content.
        tensors: what the tensor file holds.

    Raises:
        ArtifactError: another digest, or none.
    """
    if stored.pop("digest", None) != digest_of(stored, tensors):
        raise ArtifactError(
            f"{folder}: the digest does not match, so a file was changed or damaged after saving: save it anew"
        )


def check_record(stored: Mapping[str, Any]) -> None:
    """Raise where a field of a configuration file is of another kind than it was written as.

    Args:
        stored: the file's content.

    Raises:
        ConfigError: the first such field.
    """
    for key, kind in (("record", dict), ("shapes", dict), ("concepts", list), ("chosen_m", dict)):
        if key in stored or key != "chosen_m":
            require(isinstance(stored[key], kind), f"{key} is {shown(stored[key])}, wanted a {kind.__name__}")
    concepts = stored["concepts"]
    require(
        bool(concepts) and all(isinstance(c, str) for c in concepts),
        "concepts: wanted at least one name, and nothing else",
    )
    require(len({*concepts}) == len(concepts), "concepts: a name stands twice")
    for key, shape in stored["shapes"].items():
        good = isinstance(shape, list) and len(shape) == 2
        good = good and all(type(n) is int and 0 < n < _LARGEST for n in shape)
        require(good, f"shapes.{shown(key)} is {shown(shape)}, wanted two widths")
    _check_fields(stored["record"])


def _check_fields(record: Mapping[str, Any]) -> None:
    for key in _MAPPINGS:
        found = record.get(key, {})
        require(isinstance(found, dict), f"record.{key} is {shown(found)}, wanted a mapping")
    for part, names in _TEXTS.items():
        here = record.get(part, {}) if part else record
        for name in names:
            found = here.get(name)
            require(found is None or isinstance(found, str), f"record {part} {name} is {shown(found)}, wanted text")
        for name in _INTEGERS[part]:
            found = here.get(name)
            require(found is None or type(found) is int, f"record {part} {name} is {shown(found)}, wanted an integer")
    for name in _LISTS:
        found = record.get("data", {}).get(name, [])
        good = isinstance(found, list) and all(isinstance(item, str) for item in found)
        require(good, f"record data {name} is {shown(found)}, wanted a list of texts")
    build(TokenConfig, record.get("run", {}).get("tokens"), "record run tokens")
    if record.get("natural_unit") is not None:
        build(NaturalUnit, record["natural_unit"], "record natural_unit")


def require_room(
    path: Path,
    config: InterventionConfig,
    shapes: Sequence[tuple[int, ...]],
    concepts: Sequence[str],
    tensors: Mapping[str, Tensor],
) -> None:
    """Raise unless a file holds the tensors that its configuration asks for; no memory is taken for them.

    Args:
        path: the file, for messages.
        config: the interventions' configuration.
        shapes: ``(d_in, d_out)`` of each site.
        concepts: names.
        tensors: what the file holds.

    Raises:
        ArtifactError: other names or shapes.
    """
    with torch.device("meta"):
        made = Intervention(config, [(int(a), int(b)) for a, b in shapes])
    wanted = {f"{site.key}.{name}": value for site in made.sites for name, value in made[site].named_parameters()}
    names = (f"{concept}/{name}" for concept in concepts for name in wanted)
    asked = {*itertools.islice(names, len(tensors) + 1)}
    if asked != {*tensors}:
        raise ArtifactError(f"{path}: tensors missing or unexpected: {listed(sorted(asked ^ {*tensors}), 4)}")
    for concept, (name, value) in itertools.product(concepts, wanted.items()):
        found = tensors[f"{concept}/{name}"]
        if found.shape != value.shape:
            raise ArtifactError(f"{path}: {concept}/{name} is {list(found.shape)}, wanted {list(value.shape)}")
