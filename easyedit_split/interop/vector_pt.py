"""Plain ``.pt`` files of vectors: ``[d]`` of one block, ``{block: [d]}`` of several; blocks are counted from 0.

What most scripts of the field add to a block's output. It says neither where nor on which tokens: ``layer`` says the
block of a single vector when it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ..config import require
from ..steering.artifact import DEFAULT_CONCEPT, Artifact
from ..types import ArtifactError
from .base import FORMATS, Format, Incoming, Outgoing
from .gguf_vector import only_layer
from .vectors import read_tensors_alone, save_tensors, vector_artifact, vectors_of


@FORMATS.register("vector_pt")
class VectorPt(Format):
    """A tensor, or a mapping of block numbers to tensors, as ``torch.load(..., weights_only=True)`` reads it."""

    name = "vector_pt"
    writes = "file"
    reads = True
    every_token = False
    import_reads = ("layer", "positions", "shift")

    def write(self, outgoing: Outgoing, place: Path) -> None:
        """Write m2 db of every block, in float32.

        Args:
            outgoing: what is to be written.
            place: the file.
        """
        found = {block: v.float() for block, v in sorted(vectors_of(outgoing).items())}
        single = next(iter(found.values())) if len(found) == 1 else found
        save_tensors(single, place)
        config = outgoing.intervention.config
        tokens = config.positions + (" without the constant opening" if config.skip_prefix else "")
        outgoing.notes.append(
            f"the file does not say where it acts: at the output of block {', '.join(map(str, found))} (from 0), on "
            f"tokens: {tokens}"
        )

    def read(self, incoming: Incoming) -> Artifact:
        """Read a vector for ``layer``, or all blocks of a mapping.

        Args:
            incoming: what is to be read.
        """
        held = read_tensors_alone(incoming.path)
        if isinstance(held, Tensor):
            layer = incoming.options.layer
            require(layer is not None, f"{incoming.path} does not say its block: say it with --layer (counted from 0)")
            assert layer is not None
            held = {layer - incoming.options.shift: held}
        if not isinstance(held, Mapping) or not all(
            isinstance(k, int) and isinstance(v, Tensor) for k, v in held.items()
        ):
            raise ArtifactError(
                f"{incoming.path}: holds neither a tensor [d] nor a mapping of block numbers to tensors"
            )
        return vector_artifact(incoming, {DEFAULT_CONCEPT: only_layer(incoming, held)}, self.name)
