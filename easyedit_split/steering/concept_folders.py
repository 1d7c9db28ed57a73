"""Many concepts on disk: a folder with an artifact for each, and ``concepts.json``, which says which is where.

    OUT/concepts.json    OUT/rain-in-spring/    OUT/polite-refusals/    ...

Each artifact is whole by itself. Read together, they are one artifact with all concepts, which every command takes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files.reading import read_bounded, reason_of
from ..storage import write_whole
from ..types import ArtifactError
from .chosen_m import ChosenM
from .intervention import Intervention
from .strength_grid import NaturalUnit

if TYPE_CHECKING:
    from .artifact import Artifact

INDEX = "concepts.json"
_LONGEST = 60


def folder_names(concepts: Iterable[str]) -> dict[str, str]:
    """A folder's name for each concept: its letters and digits; with a hash where two would share a name.

    Args:
        concepts: their names, each once.
    """
    plain = {concept: re.sub(r"[^a-z0-9]+", "-", concept.casefold()).strip("-")[:_LONGEST] for concept in concepts}
    names = list(plain.values())
    return {
        concept: name if name and names.count(name) == 1 else f"{name or 'concept'}-{_hash(concept)}"
        for concept, name in plain.items()
    }


def _hash(concept: str) -> str:
    return hashlib.sha256(concept.encode()).hexdigest()[:8]


def write_index(folder: Path, names: Mapping[str, str]) -> None:
    """Write which concept is in which folder.

    Args:
        folder: the folder of all.
        names: folder by concept.
    """
    text = json.dumps({"package": "easyedit_split", "concepts": dict(names)}, indent=2, ensure_ascii=False) + "\n"
    write_whole(folder / INDEX, lambda path: _write(path, text))


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")


def read_index(folder: Path) -> dict[str, Path] | None:
    """The folder of each concept; None for a folder without an index.

    Args:
        folder: the folder of all.

    Raises:
        ArtifactError: an index that cannot be read, or that names a place elsewhere.
    """
    path = folder / INDEX
    if not path.is_file():
        return None
    try:
        stored: Any = json.loads(read_bounded(path, ArtifactError).decode("utf-8"))
        found = {str(concept): str(name) for concept, name in stored["concepts"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{path}: not an index of concepts ({type(error).__name__}: {reason_of(error)})") from error
    for concept, name in found.items():
        if Path(name).name != name or name in ("", ".", ".."):
            raise ArtifactError(f"{path}: concept {concept!r} is not in a folder beside the index")
    return {concept: folder / name for concept, name in found.items()}


def concept_folders(folder: Path) -> list[Path]:
    """The folders of all concepts of an index; none for a folder without one.

    Args:
        folder: the folder of all.

    Raises:
        ArtifactError: a concept is not there yet.
    """
    found = read_index(folder) or {}
    missing = [concept for concept, place in found.items() if not place.is_dir()]
    if missing:
        raise ArtifactError(
            f"{folder}: {len(missing)} of {len(found)} concepts are not trained, the first {missing[0][:60]!r}: give "
            "the same `train --each-concept` again, which goes on"
        )
    return list(found.values())


def together(
    artifacts: Sequence[Artifact], unit_key: str
) -> tuple[dict[str, Intervention], dict[str, Any], dict[str, list[dict[str, Any]]], dict[str, ChosenM]]:
    """What an artifact of all concepts is made of: interventions, record, history and stored m.

    The record is the first one's, with the pairs of all and the median of their natural units.

    Args:
        artifacts: of one concept each, trained in one run.
        unit_key: key of the natural unit in a record.
    """
    data = [artifact.record.get("data", {}) for artifact in artifacts]
    ids = [id_ for each in data for id_ in each.get("pair_ids", ())]
    record = {
        **artifacts[0].record,
        "data": {**data[0], "pair_ids": ids, "pairs": sum(d.get("pairs", 0) for d in data)},
    }
    units = [artifact.unit for artifact in artifacts if artifact.unit is not None]
    if len(units) == len(artifacts):
        record[unit_key] = asdict(NaturalUnit.over(units))
    return (
        {concept: each for artifact in artifacts for concept, each in artifact.interventions.items()},
        record,
        {concept: steps for artifact in artifacts for concept, steps in artifact.history.items()},
        {concept: m for artifact in artifacts for concept, m in artifact.chosen.items()},
    )
