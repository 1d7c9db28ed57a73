"""What a ``steer_vector_load_dir`` holds: our artifact, EasyEdit2's own files, or neither, and then where vectors lie.

A folder that is one level too high, absent, or EasyEdit2's own beside one of ours is said by name.
"""

from __future__ import annotations

import logging
from pathlib import Path

from ..steering.artifact import Artifact
from ..steering.artifact_files import CONFIG_FILE
from ..types import ArtifactError

logger = logging.getLogger(__name__)

ARTIFACT_FOLDER = "steering"
_SHOWN = 3


def read_artifact(folder: Path, layers: tuple[int, ...]) -> tuple[Artifact | None, str]:
    """The artifact of a load dir, and what it is called; None where EasyEdit2's own files are to be read instead.

    Args:
        folder: the load dir.
        layers: the blocks whose vectors are wanted.

    Raises:
        ArtifactError: nothing to read there; it names the folders near by that hold vectors.
    """
    for candidate in (folder / ARTIFACT_FOLDER, folder):
        if (candidate / CONFIG_FILE).is_file():
            return Artifact.from_pretrained(candidate), str(candidate)
    found = [layer for layer in layers if (folder / f"layer_{layer}.pt").is_file()]
    if not found:
        raise ArtifactError(_nothing(folder, layers))
    ours = _ours(folder.parent)
    beside = f"; this package's vectors stand beside it, in {_listed(ours)}" if ours else ""
    logger.warning(
        "%s: no vectors of this package (no %s/), but EasyEdit2's own layer_%d.pt, of its spilt, sft or reps: applied "
        "as there, at every token%s", folder, ARTIFACT_FOLDER, found[0], beside,
    )  # fmt: skip
    return None, str(folder)


def _nothing(folder: Path, layers: tuple[int, ...]) -> str:
    if not folder.is_dir():
        near = _ours(folder.parent)
        hint = f"; vectors lie in {_listed(near)}" if near else "; train first (vectors_generate.py)"
        return f"steer_vector_load_dir {folder}: no such folder{hint}"
    below = _ours(folder)
    if below:
        return f"steer_vector_load_dir {folder} is a folder too high: name {_listed(below)}"
    held = sorted(int(path.stem[6:]) for path in folder.glob("layer_*.pt") if path.stem[6:].isdigit())
    if held:
        return f"{folder} holds EasyEdit2's own vectors of layers {held}, and layers {list(layers)} are asked for"
    near = _ours(folder.parent)
    hint = f"; vectors lie in {_listed(near)}" if near else ""
    return f"steer_vector_load_dir {folder} holds no vectors: neither {ARTIFACT_FOLDER}/ nor layer_{layers[0]}.pt{hint}"


def _ours(parent: Path) -> list[Path]:
    """Folders in ``parent`` that hold an artifact."""
    return sorted(path.parents[1] for path in parent.glob(f"*/{ARTIFACT_FOLDER}/{CONFIG_FILE}"))


def _listed(folders: list[Path]) -> str:
    more = f" and {len(folders) - _SHOWN} more" if len(folders) > _SHOWN else ""
    return " or ".join(map(str, folders[:_SHOWN])) + more
