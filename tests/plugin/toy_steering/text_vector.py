"""Vectors as lines of text, one block a line: ``block number number ...``."""

from __future__ import annotations

from pathlib import Path

import torch

from easyedit_split.interop.base import Format, Incoming, Outgoing
from easyedit_split.interop.vectors import vector_artifact, vectors_of
from easyedit_split.steering.artifact import Artifact
from easyedit_split.types import ArtifactError


class TextVector(Format):
    """Lines of numbers."""

    name = "text_vector"
    writes = "file"
    reads = True
    import_reads = ("positions",)

    def write(self, outgoing: Outgoing, place: Path) -> None:
        lines = [f"{block} {' '.join(map(str, v.tolist()))}" for block, v in vectors_of(outgoing).items()]
        place.write_text("\n".join(lines), "utf-8")

    def read(self, incoming: Incoming) -> Artifact:
        found = {}
        try:
            for line in incoming.path.read_text("utf-8").splitlines():
                block, *numbers = line.split()
                found[int(block)] = torch.tensor([float(number) for number in numbers])
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{incoming.path}: not lines of numbers ({error})") from error
        return vector_artifact(incoming, {"default": found}, self.name)
