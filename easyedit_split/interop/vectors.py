"""Vectors of block outputs: what a change without dW is in other tools' files, and such files as artifacts.

h' = h + m v_l                 at the output of block l, counted from 0; v_l is ``[d]``
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..config import require
from ..files.reading import cut, require_file, require_unpacked
from ..model.describe import describe, name_of
from ..model.sites import RESIDUAL, Site, hidden_size
from ..steering.artifact import DEFAULT_CONCEPT, Artifact
from ..steering.intervention import Intervention, InterventionConfig
from ..text.positions import Positions
from ..text.prompt_tokens import tokenizer_hash
from ..types import ArtifactError, ConfigError
from .base import Incoming, Outgoing
from .placement import changed_on_the_way, reaches_unchanged


def vectors_of(outgoing: Outgoing) -> dict[int, Tensor]:
    """m2 db of every block, in float64: of a change that has no dW and acts at the block's output.

    Args:
        outgoing: what is to be written.

    Raises:
        ConfigError: it has a dW, or is made at a map whose output is changed on its way to the block's.
    """
    found: dict[int, Tensor] = {}
    for site in outgoing.intervention.sites:
        form = (
            outgoing.intervention.on(outgoing.model, site)
            if outgoing.intervention[site].reads_map
            else (outgoing.intervention[site])
        )
        db = form.bias_delta()
        if form.weight_delta() is not None or db is None:
            raise ConfigError(
                f"{site.key}: a {outgoing.intervention.config.form} depends on the map's input, and this format holds "
                "one direction a block: export it to peft, gguf-lora or merged"
            )
        if site.name != RESIDUAL and outgoing.intervention.config.placement == "site":
            share = changed_on_the_way(outgoing.model, site)
            require(
                reaches_unchanged(outgoing.model, share),
                f"{site.key}: this model changes what is added there on its way to the block's output (measured: "
                f"{share:.2g} of it is different): train it again with --placement block_output",
            )
        found[site.block] = found.get(site.block, torch.zeros(())) + outgoing.m[1] * db.detach().double().cpu()
    return found


def read_tensors_alone(path: Path) -> Any:
    """The content of a ``.pt`` file of tensors and plain values; nothing in it is executed.

    Args:
        path: the file.

    Raises:
        ArtifactError: no such file, or not one of tensors and plain values alone.
    """
    try:
        require_file(path, ArtifactError)
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file") from None
    require_unpacked(path, ArtifactError)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes the reader raise anything
        reason = cut(" ".join(str(error).split()), 120)
        raise ArtifactError(f"{path} is not a file of tensors alone: {reason}") from error


def save_tensors(value: Any, path: Path) -> None:
    """Write a ``.pt`` file whose bytes depend on its content alone: torch names what is inside after the file.

    Args:
        value: tensors and plain values.
        path: the file.
    """
    held = io.BytesIO()
    torch.save(value, held)
    path.write_bytes(held.getvalue())


def file_hash(path: Path) -> str:
    """SHA-256 of a file.

    Args:
        path: the file.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def vector_artifact(
    incoming: Incoming, directions: Mapping[str, Mapping[int, Tensor]], source: str, default: Positions = "all"
) -> Artifact:
    """An artifact of steering vectors that were made elsewhere.

    Args:
        incoming: what is read.
        directions: by concept and 0-based block, ``[d]`` each; every concept has the same blocks.
        source: the format's name.
        default: the tokens that the format's own tool steers.

    Raises:
        ArtifactError: a vector of another width than the model's, or with a value that is not finite.
        ConfigError: a block that the model has not.
    """
    d = hidden_size(incoming.model)
    shifted = {c: {block + incoming.options.shift: v for block, v in of.items()} for c, of in directions.items()}
    blocks = sorted(next(iter(shifted.values())))
    require(bool(blocks), f"{incoming.path} holds no direction")
    require(blocks[0] >= 0, f"{incoming.path}: shifted by {incoming.options.shift}, block {blocks[0]} does not exist")
    config = InterventionConfig(
        form="vector",
        sites=tuple(Site(block, RESIDUAL).key for block in blocks),
        placement="block_output",
        positions=incoming.options.positions or default,
    )
    made: dict[str, Intervention] = {}
    for concept, of in shifted.items():
        made[concept] = Intervention(config, [(d, d)] * len(blocks))
        for block in blocks:
            v = of[block]
            if tuple(v.shape) != (d,):
                raise ArtifactError(f"{incoming.path}: a vector of shape {list(v.shape)}, and the model has width {d}")
            if not bool(torch.isfinite(v).all()):
                raise ArtifactError(f"{incoming.path}: the vector of block {block} holds a value that is not finite")
            with torch.no_grad():
                next(made[concept][Site(block, RESIDUAL)].parameters()).copy_(v)
    return imported(incoming, made, source)


def imported(incoming: Incoming, interventions: Mapping[str, Intervention], source: str) -> Artifact:
    """An artifact of what was read, which fits the model and keeps m = 1 for every concept.

    Args:
        incoming: what was read.
        interventions: by concept; the one of a file without concepts is ``default``.
        source: the format's name.

    Raises:
        ArtifactError: it does not fit the model.
    """
    path, model, tokenizer = incoming.path, incoming.model, incoming.at_hand.tokenizer
    files = [path] if path.is_file() else sorted(file for file in path.iterdir() if file.is_file())
    record: dict[str, Any] = {
        "model": describe(model, name_of(model)),
        "objective": f"imported from {source}",
        "imported": {
            "format": source,
            "files": {file.name: file_hash(file) for file in files},
            "notes": list(incoming.notes),
        },
    }
    if tokenizer is not None:
        record["tokenizer_hash"] = tokenizer_hash(tokenizer)
    artifact = Artifact(interventions, record)
    artifact.check_model(model)
    for concept in artifact.concepts:
        artifact = artifact.with_m(1.0, concept, evidence={"reason": "m = 1 is the file's own strength 1"})
    return artifact


__all__ = ["DEFAULT_CONCEPT", "file_hash", "imported", "read_tensors_alone", "vector_artifact", "vectors_of"]
