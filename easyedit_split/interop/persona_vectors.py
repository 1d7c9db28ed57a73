"""Persona vectors, in: a tensor ``[L + 1, d]`` whose row 0 is of the embeddings, so that row l + 1 is block l's output.

Its own tool steers one layer at a time; ``layer`` is the block, counted from 0, and takes row ``layer + 1``.
"""

from __future__ import annotations

from torch import Tensor

from ..config import require
from ..model.sites import blocks_of
from ..steering.artifact import DEFAULT_CONCEPT, Artifact
from ..types import ArtifactError
from .base import FORMATS, Format, Incoming
from .vectors import read_tensors_alone, vector_artifact


@FORMATS.register("persona_vectors")
class PersonaVectors(Format):
    """One row of a table of difference vectors over all layers."""

    name = "persona_vectors"
    reads = True
    import_reads = ("layer", "positions")

    def read(self, incoming: Incoming) -> Artifact:
        """Read the vector of one block.

        Args:
            incoming: what is to be read; ``layer`` is needed.
        """
        path, layer = incoming.path, incoming.options.layer
        blocks = len(blocks_of(incoming.model))
        require(layer is not None, f"{path} holds every layer: say which block to steer with --layer (counted from 0)")
        assert layer is not None
        table = read_tensors_alone(path)
        if not isinstance(table, Tensor) or table.ndim != 2:
            raise ArtifactError(f"{path}: wanted a tensor [layers + 1, width]")
        if len(table) != blocks + 1:
            raise ArtifactError(f"{path}: {len(table)} rows, and the model has {blocks} blocks: wanted {blocks + 1}")
        require(0 <= layer < blocks, f"layer {layer} does not exist: this model has blocks 0 to {blocks - 1}")
        incoming.notes.append(f"row {layer + 1}: row 0 is of the embeddings")
        return vector_artifact(incoming, {DEFAULT_CONCEPT: {layer: table[layer + 1]}}, self.name)
