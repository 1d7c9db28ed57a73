"""Many concepts in one run: the model is loaded once, each concept becomes an artifact of its own, one after the other.

    OUT/NAME = what ``train_artifact`` makes of the concept's pairs alone

An artifact appears whole, so a killed run goes on where it stopped: a concept whose artifact is there, of the same run
on the same pairs and model, is not trained again. A concept whose training diverges does not stop the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from ..datasets.base import PairTable
from ..scoring.encode_table import encode_table
from ..scoring.engine.config import EngineConfig
from ..steering.artifact import CONFIG_FILE, Artifact
from ..steering.concept_folders import INDEX, folder_names, read_index, write_index
from ..text.prompt_tokens import Template
from ..types import ConfigError
from .record import data_record, record_of
from .run_config import RunConfig
from .train_pairs import RunStopped, train_artifact

Report = Callable[[str, int, int], None]
"""Called with (concept, concepts done, concepts in all)."""


@dataclass(frozen=True)
class EachConcept:
    """Result of training many concepts.

    Attributes:
        folders: the artifact of each concept that was trained, now or before.
        found: concepts that were there already.
        stopped: why training ended early, by concept; their last finite state is in ``NAME-last-good``.
    """

    folders: dict[str, Path]
    found: tuple[str, ...]
    stopped: dict[str, str]


def train_each_concept(
    model: nn.Module,
    tokenizer: Any,
    table: PairTable,
    run: RunConfig,
    to: Path,
    *,
    model_name: str | None = None,
    drop_bad: bool = False,
    overwrite: bool = False,
    progress: Report | None = None,
    engine: EngineConfig | None = None,
) -> EachConcept:
    """Train an artifact for each concept of a table, into a folder of their own each.

    Args:
        model: a Hugging Face causal LM; its own parameters are not changed.
        tokenizer: its tokenizer.
        table: pairs, each with its concept.
        run: form, objective, sites and optimiser settings.
        to: the folder of all.
        model_name: how records name the model.
        drop_bad: leave bad rows out and name them, instead of raising.
        overwrite: train anew what is there.
        progress: called after each concept.
        engine: how losses are computed; the engine's defaults where None.

    Raises:
        ConfigError: a pair without a concept; a folder that holds something else, or artifacts of another run.
        DataError: a bad row (named), unless ``drop_bad``.
    """
    parts = _by_concept(table)
    template = Template(tokenizer, run.tokens)
    encode_table(table, template, model, drop_bad=drop_bad)  # a bad row ends the run at its beginning
    settings: dict[str, Any] = {"model_name": model_name, "drop_bad": drop_bad, "engine": engine, "template": template}
    names = folder_names(parts)
    _claim(to, names, overwrite)
    wanted, data_of = _identity(model, tokenizer, run, model_name), _data_of(model, template, drop_bad)
    folders: dict[str, Path] = {}
    found: list[str] = []
    stopped: dict[str, str] = {}
    for done, (concept, part) in enumerate(parts.items(), 1):
        folder = to / names[concept]
        if not overwrite and (folder / CONFIG_FILE).exists():
            _require_same(folder, wanted, part, data_of)
            found.append(concept)
            folders[concept] = folder
        else:
            try:
                made = train_artifact(model, tokenizer, part, run, **settings)
                folders[concept] = made.save_pretrained(folder, overwrite=overwrite)
            except RunStopped as stop:
                stopped[concept] = str(stop)
                stop.artifact.save_pretrained(folder.with_name(f"{folder.name}-last-good"), overwrite=True)
        if progress is not None:
            progress(concept, done, len(parts))
    return EachConcept(folders, tuple(found), stopped)


def _by_concept(table: PairTable) -> dict[str, PairTable]:
    """The table's pairs by concept, in order of first appearance."""
    places: dict[str, list[int]] = {}
    for place, pair in enumerate(table.pairs):
        if pair.concept is None:
            raise ConfigError(f"{table.source}, row {table.rows[place]}: has no concept: give every row one")
        places.setdefault(pair.concept, []).append(place)
    return {
        concept: replace(
            table,
            pairs=tuple(table.pairs[place] for place in members),
            rows=tuple(table.rows[place] for place in members),
        )
        for concept, members in places.items()
    }


def _claim(to: Path, names: dict[str, str], overwrite: bool) -> None:
    """Write the index, unless one of other concepts or something else is there."""
    known = read_index(to) if to.is_dir() else None
    if known is not None and {c: path.name for c, path in known.items()} != names and not overwrite:
        raise ConfigError(f"{to / INDEX} holds other concepts than these {len(names)}: choose another --out")
    if known is None and to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise ConfigError(f"{to} holds something that is not a run of many concepts: choose another --out")
    to.mkdir(parents=True, exist_ok=True)
    write_index(to, names)


def _identity(model: nn.Module, tokenizer: Any, run: RunConfig, model_name: str | None) -> dict[str, Any]:
    """What the records of one run have in common."""
    record = record_of(model, tokenizer, run, {}, model_name)
    return {key: record[key] for key in ("model", "tokenizer_hash", "run")}


def _data_of(model: nn.Module, template: Template, drop_bad: bool) -> Callable[[PairTable], dict[str, Any]]:
    """How a record describes a concept's pairs."""
    return lambda part: data_record(part, encode_table(part, template, model, drop_bad=drop_bad))


def _require_same(
    folder: Path, wanted: dict[str, Any], part: PairTable, data_of: Callable[[PairTable], dict[str, Any]]
) -> None:
    """Raise unless the artifact that is there is of the same run on the same pairs."""
    record = Artifact.from_pretrained(folder).record
    other = [key for key, value in wanted.items() if record.get(key) != value]
    if not other:
        same = record.get("data", {}).get("pairs_sha256") == data_of(part)["pairs_sha256"]
        other = [] if same else ["data"]
    if other:
        raise ConfigError(
            f"{folder} is of another run (its {', '.join(other)} differ): choose another --out, or give --overwrite"
        )
