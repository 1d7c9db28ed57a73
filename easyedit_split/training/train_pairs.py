"""Training from texts: tokenise pairs, train an intervention per concept, and return an artifact with its record."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from ..datasets.in_memory import PairsLike, as_pairs
from ..model.hooks import device_of
from ..scoring.encode_table import encode_table
from ..scoring.engine.config import EngineConfig
from ..scoring.sweep_pairs import measured_unit
from ..steering.artifact import DEFAULT_CONCEPT, UNIT_KEY, Artifact
from ..steering.intervention import Intervention
from ..text.encode_pairs import EncodedPair
from ..text.prompt_tokens import Template
from ..types import ConfigError
from .checkpoint import Checkpoints
from .loop import Progress, TrainingStopped, train_intervention, untrained
from .record import data_record, record_of
from .run_config import RunConfig
from .together import CellProgress, TrainingCell, train_together


class RunStopped(TrainingStopped):
    """A run of one or more concepts met a loss or gradient that is not finite.

    Args:
        stop: why one concept's training ended.
        artifact: the concepts that were finished and, last, the stopped one in its last good state.
    """

    def __init__(self, stop: TrainingStopped, artifact: Artifact) -> None:
        super().__init__(str(stop), stop.intervention, stop.history)
        self.artifact = artifact


def train_artifact(
    model: nn.Module,
    tokenizer: Any,
    pairs: PairsLike,
    run: RunConfig,
    *,
    model_name: str | None = None,
    revision: str | None = None,
    drop_bad: bool = False,
    progress: Callable[[str, int, int, float], None] | None = None,
    engine: EngineConfig | None = None,
    template: Template | None = None,
    checkpoints: Checkpoints | None = None,
) -> Artifact:
    """Train one intervention per concept on answer pairs.

    Args:
        model: a Hugging Face causal LM; its own parameters are not changed.
        tokenizer: its tokenizer.
        pairs: with ``concept`` set on all or on none.
        run: form, objective, sites and optimiser settings.
        model_name: how the record names the model; as it was loaded where None.
        revision: the model's revision that was asked for.
        drop_bad: leave bad rows out and name them, instead of raising.
        progress: called after each step with (concept, steps done, steps in all, loss).
        engine: how losses are computed; the engine's defaults where None.
        template: of this tokenizer under ``run.tokens``, where it is made already.
        checkpoints: the run's checkpoint file, from which an interrupted run of the same kind goes on; None for none.

    Raises:
        DataError: a bad row (named), unless ``drop_bad``.
        ConfigError: a configuration that does not fit the model.
        RunStopped: a loss or gradient was not finite; it holds what is good so far.
    """
    table = as_pairs(pairs, drop_bad=drop_bad)
    template = template or Template(tokenizer, run.tokens)
    encoded = encode_table(table, template, model, drop_bad=drop_bad)
    record = record_of(model, tokenizer, run, data_record(table, encoded), model_name, revision)
    interventions: dict[str, Intervention] = {}
    history: dict[str, list[dict[str, Any]]] = {}
    if checkpoints is not None:
        checkpoints.open({**record, "device": device_of(model).type, "engine": repr(engine)})
    for concept, members in _concepts(encoded.rows).items():
        report = None if progress is None else _named(progress, concept)
        try:
            interventions[concept], history[concept] = _trained(
                model, template, members, run, concept, report, engine, checkpoints
            )
        except TrainingStopped as stop:
            interventions[concept] = stop.intervention
            history[concept] = [dataclasses.asdict(step) for step in stop.history]
            raise RunStopped(stop, Artifact(interventions, {**record, "stopped": str(stop)}, history)) from stop
    return Artifact(interventions, record | _unit(model, encoded.rows, interventions, template.pad_id), history)


def _unit(
    model: nn.Module, rows: Sequence[EncodedPair], interventions: dict[str, Intervention], pad_id: int
) -> dict[str, Any]:
    """What m = 1 is worth, for the record; nothing of answers alone (``style: easyedit2``), where no place tells it."""
    if not all(row.prompt for row in rows):
        return {}
    return {UNIT_KEY: dataclasses.asdict(measured_unit(model, rows, Artifact(interventions), pad_id))}


def _trained(
    model: nn.Module,
    template: Template,
    members: list[EncodedPair],
    run: RunConfig,
    concept: str,
    progress: Progress | None,
    engine: EngineConfig | None,
    checkpoints: Checkpoints | None,
) -> tuple[Intervention, list[dict[str, Any]]]:
    """A concept's intervention and history: from the checkpoint where it was finished before, else trained."""
    if checkpoints is not None:
        made = untrained(model, template, run, concept)
        if (known := checkpoints.finished(concept, made)) is not None:
            return made, known
    made, steps = train_intervention(
        model, template, members, run, concept=concept, progress=progress, engine=engine, checkpoints=checkpoints
    )
    history = [dataclasses.asdict(step) for step in steps]
    if checkpoints is not None:
        checkpoints.finish({concept: (made, history)})
    return made, history


def train_artifacts(
    model: nn.Module,
    tokenizer: Any,
    pairs: PairsLike,
    runs: Sequence[RunConfig],
    *,
    model_name: str | None = None,
    progress: Callable[[int, str, int, int, float], None] | None = None,
    engine: EngineConfig | None = None,
    stacked: bool | None = None,
    checkpoints: Checkpoints | None = None,
) -> tuple[Artifact, ...]:
    """Train several runs on the same answer pairs at once, one intervention per run and concept.

    Args:
        model: a Hugging Face causal LM; its own parameters are not changed.
        tokenizer: its tokenizer.
        pairs: with ``concept`` set on all or on none.
        runs: forms, objectives, sites and optimiser settings.
        model_name: how records name the model; as it was loaded where None.
        progress: called after each step with (place of the run, concept, steps done, steps in all, loss).
        engine: how losses are computed; the engine's defaults where None.
        stacked: whether runs share launches, as ``train_together``; None for wherever that is faster.
        checkpoints: the runs' checkpoint file, from which an interrupted call of the same kind goes on; None for none.

    Returns:
        What ``train_artifact`` makes of each run, in order.

    Raises:
        DataError: a bad row (named).
        ConfigError: a configuration that does not fit the model.
        RunStopped: a loss or gradient was not finite; it holds the first run that it happened to, the others' are lost.
    """
    table, cells, labels, records = as_pairs(pairs), list[TrainingCell](), list[tuple[int, str]](), []
    for place, run in enumerate(runs):
        template = Template(tokenizer, run.tokens)
        encoded = encode_table(table, template, model)
        records.append((record_of(model, tokenizer, run, data_record(table, encoded), model_name, None), encoded.rows))
        for concept, members in _concepts(encoded.rows).items():
            cells.append(TrainingCell(template, members, run, concept, f"{place}/{concept}"))
            labels.append((place, concept))
    report = None if progress is None else _labelled(progress, labels)
    if checkpoints is not None:
        each = {str(place): record for place, (record, _) in enumerate(records)}
        how = {"device": device_of(model).type, "engine": repr(engine), "stacked": stacked}
        checkpoints.open({**each, **how})
    results = train_together(model, cells, stacked=stacked, progress=report, engine=engine, checkpoints=checkpoints)
    found: list[Artifact] = []
    for place, (record, rows) in enumerate(records):
        mine = {concept: r for (at, concept), r in zip(labels, results, strict=True) if at == place}
        interventions = {concept: result.intervention for concept, result in mine.items()}
        history = {concept: [dataclasses.asdict(step) for step in r.history] for concept, r in mine.items()}
        for stop in (result.stopped for result in mine.values() if result.stopped is not None):
            raise RunStopped(stop, Artifact(interventions, {**record, "stopped": str(stop)}, history)) from stop
        unit = _unit(model, rows, interventions, cells[0].template.pad_id)
        found.append(Artifact(interventions, record | unit, history))
    return tuple(found)


def _labelled(progress: Callable[[int, str, int, int, float], None], labels: Sequence[tuple[int, str]]) -> CellProgress:
    return lambda cell, done, total, loss: progress(*labels[cell], done, total, loss)


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
