"""Vectors of contrastive activation addition (CAA), in: ``vectors/{behavior}/vec_layer_{l}_{model}.pt``, ``[d]``.

CAA adds its vector to the output of block l, counted from 0, from the end of the instruction on: the prompt's last
token and every token of the answer. That is ``positions: answer`` here.
"""

from __future__ import annotations

import re

from torch import Tensor

from ..config import require
from ..steering.artifact import DEFAULT_CONCEPT, Artifact
from ..types import ArtifactError
from .base import FORMATS, Format, Incoming
from .vectors import read_tensors_alone, vector_artifact


@FORMATS.register("caa")
class Caa(Format):
    """One vector of one layer, which the file's name says."""

    name = "caa"
    reads = True
    import_reads = ("layer", "positions", "shift")

    def read(self, incoming: Incoming) -> Artifact:
        """Read a vector.

        Args:
            incoming: what is to be read; ``layer`` where the file's name does not say it.
        """
        match = re.search(r"layer_(\d+)", incoming.path.name)
        layer = incoming.options.layer
        require(
            layer is not None or match is not None,
            f"{incoming.path}: its name does not say the layer (vec_layer_L_MODEL.pt): say it with --layer",
        )
        v = read_tensors_alone(incoming.path)
        if not isinstance(v, Tensor):
            raise ArtifactError(f"{incoming.path}: holds a {type(v).__name__}, wanted a tensor [d]")
        block = int(match[1]) if layer is None and match else int(layer or 0) - incoming.options.shift
        return vector_artifact(incoming, {DEFAULT_CONCEPT: {block: v.reshape(-1)}}, self.name, default="answer")
