"""repeng's control vectors, in: GGUF files of ``direction.N``, N the block whose output is changed, counted from 0.

The same files as llama.cpp's, with a model hint that repeng insists on; repeng may also have a direction of block 0. It
adds the directions of the layers that its ``ControlModel`` was given: ``layer`` keeps one of them.
"""

from __future__ import annotations

from ..steering.artifact import DEFAULT_CONCEPT, Artifact
from ..types import ArtifactError
from .base import FORMATS, Format, Incoming
from .gguf_files import read_gguf
from .gguf_vector import directions_of, only_layer
from .vectors import vector_artifact


@FORMATS.register("repeng")
class Repeng(Format):
    """A control vector as ``ControlVector.export_gguf`` writes it."""

    name = "repeng"
    reads = True
    import_reads = ("layer", "positions")

    def read(self, incoming: Incoming) -> Artifact:
        """Read every direction; ``layer`` keeps one block alone.

        Args:
            incoming: what is to be read.
        """
        keys, tensors = read_gguf(incoming.path)
        hint, kind = keys.get("controlvector.model_hint"), incoming.model.config.model_type  # type: ignore[union-attr]
        if hint is None:
            raise ArtifactError(f"{incoming.path}: no controlvector.model_hint, so it is no file of repeng")
        if hint != kind:
            incoming.notes.append(f"made for a model of type {hint}, this one is {kind}")
        directions = only_layer(incoming, directions_of(incoming.path, keys, tensors))
        return vector_artifact(incoming, {DEFAULT_CONCEPT: directions}, self.name)
