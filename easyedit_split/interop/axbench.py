"""AxBench's trained vectors, in: ``train/{Model}_weight.pt`` [n, d], concepts in ``metadata.jsonl`` beside it.

    AxBench steers with     h + max_act factor W[i]     at every token, at the block's output

so m here is its max_act times its factor. The file does not say its layer. ``{Model}_bias.pt`` serves detection and is
no part of steering.
"""

from __future__ import annotations

import json
from pathlib import Path

from torch import Tensor

from ..config import require
from ..files.reading import read_bounded, reason_of
from ..steering.artifact import Artifact
from ..types import ArtifactError
from .base import FORMATS, Format, Incoming
from .vectors import read_tensors_alone, vector_artifact


@FORMATS.register("axbench")
class AxBenchVectors(Format):
    """Rows of ``{Model}_weight.pt`` as one artifact, a concept each."""

    name = "axbench"
    reads = True
    import_reads = ("layer", "concept_id", "positions")

    def read(self, incoming: Incoming) -> Artifact:
        """Read all concepts, or one.

        Args:
            incoming: what is to be read; ``layer`` is needed.
        """
        path = _weights(incoming.path)
        layer, wanted = incoming.options.layer, incoming.options.concept_id
        require(layer is not None, f"{path} does not say its layer: say it with --layer (counted from 0)")
        assert layer is not None
        W = read_tensors_alone(path)
        if not isinstance(W, Tensor) or W.ndim != 2:
            raise ArtifactError(f"{path}: wanted a tensor [concepts, width]")
        ids = range(len(W)) if wanted is None else [wanted]
        require(wanted is None or 0 <= wanted < len(W), f"{path}: concept_id {wanted}, but it holds {len(W)} concepts")
        names = _names(path.parent / "metadata.jsonl", len(W))
        incoming.notes.append("m is AxBench's max_act times its factor; its bias, which serves detection, is left out")
        return vector_artifact(incoming, {names[i]: {layer: W[i]} for i in ids}, self.name)


def _weights(path: Path) -> Path:
    if path.is_file():
        return path
    found = sorted(path.glob("*_weight.pt"))
    if len(found) != 1:
        held = ", ".join(file.name for file in found) or "none"
        raise ArtifactError(f"{path}: name one file {{Model}}_weight.pt; it holds {held}")
    return found[0]


def _names(path: Path, count: int) -> list[str]:
    """The concepts' names; their numbers where there is no metadata, or two bear one name."""
    numbers = [f"concept {i}" for i in range(count)]
    if not path.is_file():
        return numbers
    try:
        rows = [
            json.loads(line) for line in read_bounded(path, ArtifactError).decode("utf-8").splitlines() if line.strip()
        ]
        named = {int(row.get("concept_id", i)): str(row["concept"]) for i, row in enumerate(rows)}
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ArtifactError(f"{path}: not a concept a line ({type(error).__name__}: {reason_of(error)})") from error
    names = [named.get(i, numbers[i]) for i in range(count)]
    return names if len(set(names)) == count else [f"{i}: {name}" for i, name in enumerate(names)]
