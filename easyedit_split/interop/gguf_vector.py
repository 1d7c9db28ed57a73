"""Control vectors of llama.cpp in GGUF, both ways; repeng and EasySteer read the same files.

    direction.N  [d]  F32     is added to the output of block N, counted from 0: N >= 1, so block 0 cannot be expressed

``llama-server --control-vector-scaled FILE:k`` plays k times what the file holds, so a file exported at m plays
``attach(k m)``. llama.cpp's own generator names what it measured behind block l ``direction.{l + 1}``: read its files
with ``shift=-1`` to steer where they were measured, and without to do what llama.cpp does with them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ..config import require
from ..steering.artifact import DEFAULT_CONCEPT, Artifact
from ..types import ArtifactError
from .base import FORMATS, Format, Incoming, Outgoing
from .gguf_files import read_gguf, write_gguf
from .vectors import vector_artifact, vectors_of

ARCH = "controlvector"


@FORMATS.register("gguf_vector")
class GgufVector(Format):
    """A control vector as llama.cpp reads it."""

    name = "gguf_vector"
    writes = "file"
    reads = True
    import_reads = ("layer", "positions", "shift")

    def write(self, outgoing: Outgoing, place: Path) -> None:
        """Write one direction a block.

        Args:
            outgoing: what is to be written.
            place: the file.
        """
        found = vectors_of(outgoing)
        require(
            0 not in found,
            "block 0: llama.cpp's control vectors begin behind block 1: train it at another layer, or export it to "
            "vector-pt",
        )
        hint = str(outgoing.artifact.record.get("model", {}).get("model_type") or outgoing.model.config.model_type)  # type: ignore[union-attr]
        keys: dict[str, str | int | float] = {
            f"{ARCH}.model_hint": hint,
            f"{ARCH}.layer_count": len(found),
            "easyedit_split.m2": float(outgoing.m[1]),
            "easyedit_split.artifact": outgoing.artifact.identity(),
        }
        write_gguf(place, ARCH, keys, {f"direction.{block}": v for block, v in sorted(found.items())})

    def read(self, incoming: Incoming) -> Artifact:
        """Read every direction; ``layer`` keeps one block alone.

        Args:
            incoming: what is to be read.
        """
        keys, tensors = read_gguf(incoming.path)
        directions = directions_of(incoming.path, keys, tensors)
        return vector_artifact(incoming, {DEFAULT_CONCEPT: only_layer(incoming, directions)}, self.name)


def directions_of(path: Path, keys: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[int, Tensor]:
    """The vectors of a control vector's file by its own block numbers.

    Args:
        path: the file, for messages.
        keys: its keys.
        tensors: its tensors.

    Raises:
        ArtifactError: another kind of GGUF file, or a tensor that is no direction.
    """
    arch = keys.get("general.architecture")
    if arch != ARCH:
        raise ArtifactError(f"{path}: general.architecture is {arch!r}, and a control vector's is {ARCH!r}")
    found: dict[int, Tensor] = {}
    for name, tensor in tensors.items():
        match = re.fullmatch(r"direction\.(\d+)", name)
        if match is None:
            raise ArtifactError(f"{path}: {name} is no direction.N, and a control vector holds nothing else")
        found[int(match[1])] = tensor.reshape(-1)
    return found


def only_layer(incoming: Incoming, directions: Mapping[int, Tensor]) -> dict[int, Tensor]:
    """The direction that ends at the block that was asked for; all where none was.

    Args:
        incoming: what is read.
        directions: by the file's own block numbers.

    Raises:
        ConfigError: it has no direction there.
    """
    layer, shift = incoming.options.layer, incoming.options.shift
    if layer is None:
        return dict(directions)
    held = ", ".join(str(block + shift) for block in sorted(directions))
    require(layer - shift in directions, f"{incoming.path}: no direction for block {layer}; it holds {held}")
    return {layer - shift: directions[layer - shift]}
