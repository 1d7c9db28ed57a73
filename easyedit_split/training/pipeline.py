"""From pairs to an artifact and from an artifact to a table: what the command line, the plugin and a notebook call.

Everything is named in the result: model, tokenizer, data, run, seed, versions. Several concepts in one dataset give one
artifact with one intervention each, trained apart under seeds of their own.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from torch import nn

from ..config import TokenConfig, build
from ..log_odds import Normalize
from ..model.load import describe, name_of
from ..model.sites import Unwrap, same
from ..scoring.natural_unit import NaturalUnit, natural_unit
from ..scoring.sweep import Factors, NextPoints, Progress, by_concept
from ..scoring.sweep import sweep as sweep_encoded
from ..steering.artifact import DEFAULT_CONCEPT, Artifact
from ..steering.intervention import Intervention
from ..storage import Journal
from ..strength_grid import StrengthGrid
from ..text.encode import EncodedPair, EncodedPairs, encode_pairs
from ..text.template import Template, tokenizer_hash
from ..types import ConfigError, Pair
from .loop import TrainingStopped
from .loop import train as train_one
from .run_config import RunConfig

logger = logging.getLogger(__name__)
UNIT_KEY = "natural_unit"
"""Where an artifact's record keeps its `NaturalUnit`."""


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """Where pairs came from, for the record.

    Args:
        name, split, path: as the user named them.
        rows: row number of each pair in its file, for messages; positions where None.
        sha256: of the file; of the pairs' texts where empty.
        dropped, notes: sentences of the loader, on rows that it left out and on what else it did.
    """

    name: str = "pairs"
    split: str = ""
    path: str = ""
    rows: tuple[int, ...] | None = None
    sha256: str = ""
    dropped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class RunStopped(TrainingStopped):
    """A run of one or more concepts met a loss or gradient that is not finite.

    Attributes:
        artifact: the concepts that were finished and, last, the stopped one in its last good state.
    """

    def __init__(self, stop: TrainingStopped, artifact: Artifact) -> None:
        super().__init__(str(stop), stop.intervention, stop.history)
        self.artifact = artifact


def pairs_hash(pairs: Sequence[Pair]) -> str:
    """SHA-256 over the texts of pairs, in order."""
    rows = [dataclasses.astuple(pair) for pair in pairs]
    return hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode()).hexdigest()


def train(
    model: nn.Module,
    tokenizer: Any,
    pairs: Sequence[Pair],
    run: RunConfig,
    *,
    model_name: str | None = None,
    revision: str | None = None,
    source: Source | None = None,
    drop_bad: bool = False,
    progress: Callable[[str, int, int, float], None] | None = None,
    unwrap: Unwrap = same,
) -> Artifact:
    """Train one intervention per concept.

    Args:
        pairs: with ``concept`` set on all or on none.
        model_name: how the record names the model; as it was loaded where None.
        progress: called after each step with (concept, steps done, steps in all, loss).

    Raises:
        DataError: a bad row (named), unless ``drop_bad``.
        ConfigError: a configuration that does not fit the model.
        RunStopped: a loss or gradient was not finite; it holds what is good so far.
    """
    source = source or Source()
    template = Template(tokenizer, run.tokens)
    encoded = _encoded(pairs, template, source, drop_bad)
    record = record_of(model, tokenizer, run, _data_record(pairs, source, encoded), model_name, revision)
    interventions: dict[str, Intervention] = {}
    history: dict[str, list[dict[str, Any]]] = {}
    units: list[NaturalUnit] = []
    for concept, members in _concepts(encoded.rows).items():
        report = None if progress is None else _named(progress, concept)
        try:
            interventions[concept], steps = train_one(
                model, template, members, run, concept=concept, progress=report, unwrap=unwrap
            )
        except TrainingStopped as stop:
            interventions[concept] = stop.intervention
            history[concept] = [dataclasses.asdict(step) for step in stop.history]
            raise RunStopped(stop, Artifact(interventions, {**record, "stopped": str(stop)}, history)) from stop
        history[concept] = [dataclasses.asdict(step) for step in steps]
        units.append(natural_unit(model, members, interventions[concept], pad_id=template.pad_id, unwrap=unwrap))
    return Artifact(interventions, {**record, UNIT_KEY: dataclasses.asdict(NaturalUnit.over(units))}, history)


def record_of(
    model: nn.Module,
    tokenizer: Any,
    run: RunConfig,
    data: dict[str, Any],
    model_name: str | None = None,
    revision: str | None = None,
) -> dict[str, Any]:
    """Everything a result depends on, as plain JSON values."""
    record = {
        "model": describe(model, name_of(model, model_name), revision),
        "tokenizer_hash": tokenizer_hash(tokenizer),
        "objective": run.objective,
        "seed": run.train.seed,
        "run": run.to_dict(),
        "data": data,
        "versions": versions(),
    }
    plain: dict[str, Any] = json.loads(json.dumps(record))
    return plain


def _data_record(pairs: Sequence[Pair], source: Source, encoded: EncodedPairs) -> dict[str, Any]:
    return {
        "name": source.name,
        "split": source.split,
        "sha256": source.sha256,
        "pairs_sha256": pairs_hash(pairs),
        "pairs": len(encoded.rows),
        "dropped": [*source.dropped, *encoded.dropped],
        "notes": [*source.notes, *encoded.notes],
    }


def _encoded(pairs: Sequence[Pair], template: Template, source: Source, drop_bad: bool) -> EncodedPairs:
    encoded = encode_pairs(pairs, template, source=source.path or source.name, drop_bad=drop_bad, indices=source.rows)
    for note in encoded.notes:
        logger.info("%s: %s", source.name, note)
    return encoded


def _named(progress: Callable[[str, int, int, float], None], concept: str) -> Callable[[int, int, float], None]:
    return lambda done, total, loss: progress(concept, done, total, loss)


def _concepts(rows: Sequence[EncodedPair]) -> dict[str, list[EncodedPair]]:
    groups: dict[str, list[EncodedPair]] = {}
    for row in rows:
        groups.setdefault(row.pair.concept or DEFAULT_CONCEPT, []).append(row)
    if len(groups) > 1 and DEFAULT_CONCEPT in groups:
        lacking = groups[DEFAULT_CONCEPT][0].index
        raise ConfigError(f"row {lacking} has no concept while others have: give every row one, or none")
    return groups


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    import numpy
    import torch
    import transformers

    from .. import __version__

    return {
        "easyedit_split": __version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "numpy": numpy.__version__,
    }


def artifact_unit(artifact: Artifact) -> NaturalUnit | None:
    """What m = 1 of an artifact is worth in r, as it was measured in training; None where it was not."""
    record = artifact.record.get(UNIT_KEY)
    return None if record is None else build(NaturalUnit, record, f"the artifact's record, {UNIT_KEY}")


def artifact_tokens(artifact: Artifact) -> TokenConfig:
    """The token settings an artifact was trained under: scoring and generation use the same."""
    return build(TokenConfig, artifact.record.get("run", {}).get("tokens"), "the artifact's record, tokens")


def sweep(
    model: nn.Module,
    tokenizer: Any,
    pairs: Sequence[Pair],
    artifact: Artifact,
    m: Sequence[Factors] | StrengthGrid,
    *,
    model_name: str | None = None,
    source: Source | None = None,
    normalize: Normalize = "sum",
    drop_bad: bool = False,
    next_points: NextPoints | None = None,
    progress: Progress | None = None,
    journal: Journal | None = None,
    unwrap: Unwrap = same,
) -> pd.DataFrame:
    """Score pairs at every m, tokenised as the artifact was trained; see `sweep.sweep`.

    The table says r beside m where it is known what m = 1 of the artifact is worth.

    Args:
        m: plain strengths, or a grid that may be in r (`strength_grid.parse_strengths`).
        model_name: how the table names the model; as it was loaded where None.

    Raises:
        DataError: a bad row (named), unless ``drop_bad``.
        ConfigError, ArtifactError: an m, concept or model that does not fit.
    """
    source = source or Source()
    template = Template(tokenizer, artifact_tokens(artifact))
    rows = _encoded(pairs, template, source, drop_bad).rows
    unit = artifact_unit(artifact)
    if isinstance(m, StrengthGrid):
        if unit is None and m.unit == "r":
            unit = measured_unit(model, rows, artifact, template, unwrap)
        m = m.in_m(unit.r_per_m if unit else 0.0)
    table = sweep_encoded(
        model,
        rows,
        artifact,
        m,
        pad_id=template.pad_id,
        model_name=model_name,
        tokenizer=tokenizer,
        dataset=source.name,
        split=source.split,
        normalize=normalize,
        next_points=next_points,
        progress=progress,
        journal=journal,
        unwrap=unwrap,
    )
    if unit is not None:
        table["r"] = (unit.r_per_m * table["m1"]).where(table["m1"] == table["m2"])
    return table


def measured_unit(
    model: nn.Module, rows: Sequence[EncodedPair], artifact: Artifact, template: Template, unwrap: Unwrap = same
) -> NaturalUnit:
    """What m = 1 of an artifact is worth in r on these pairs; of several concepts, the median.

    Args:
        model: the bare model.
        rows: pairs, encoded by ``template``.
        artifact: whose concepts the pairs name.
        template: of the artifact's token settings.
        unwrap: looks through wrappers around the model's own modules.

    Raises:
        ConfigError: the artifact does not fit the model, or a pair names a concept that it has not.
    """
    groups = by_concept(rows, artifact)
    return NaturalUnit.over(
        [
            natural_unit(model, members, artifact[concept], pad_id=template.pad_id, unwrap=unwrap)
            for concept, members in groups.items()
        ]
    )


__all__ = ["RunStopped", "Source", "artifact_tokens", "pairs_hash", "record_of", "sweep", "train", "versions"]
