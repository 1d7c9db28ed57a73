"""Import another tool's file as an artifact: at m = 1 it does what the file does at its own strength 1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from ..config import build, require
from ..model.load_options import LoadOptions
from ..steering.artifact import Artifact
from ..types import ArtifactError
from .base import FORMATS, ImportOptions, Incoming, ModelAtHand, readable_formats, refuse_unread


def import_artifact(
    path: str | Path,
    from_: str,
    *,
    model: nn.Module | str,
    tokenizer: Any = None,
    loading: LoadOptions | None = None,
    **options: Any,
) -> Artifact:
    """Read another tool's file; ``artifact.record["imported"]`` says what was read and what was left behind.

    Args:
        path: the file or folder.
        from_: a registered format that can be read: ``peft``, ``gguf_vector``, ``easyedit2`` ...
        model: the model that it is for, or its name.
        tokenizer: the model's own, where the model itself is given.
        loading: how a model that is named is loaded.
        **options: see ``ImportOptions``.

    Raises:
        ArtifactError: the file is missing, damaged, of another format, or does not fit the model.
        ConfigError: it does something that no artifact can, or unknown settings.
    """
    found = FORMATS[from_]
    require(found.reads, f"format {from_!r} is only written; read are {', '.join(readable_formats())}")
    settings = build(ImportOptions, options, "import")
    refuse_unread(settings, found.import_reads, from_)
    place = Path(path)
    if not place.exists():
        raise ArtifactError(f"{place}: no such file or folder")
    return found().read(Incoming(place, ModelAtHand(model, tokenizer, loading=loading), settings))
