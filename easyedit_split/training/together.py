"""Many training runs at once: form x objective pairs, concepts, seeds, over the same frozen model.

    each cell becomes what ``train_intervention`` makes of it alone

Clip, schedule, Adam's moments, draws, dropout and history are each cell's own. What is shared is work: cached states,
and, where launches are stacked, one call of the upper blocks for the rows of all cells, and one read of the device a
step. On a CPU a row at a time is fastest, so there the cells are trained one after the other unless the caller says
otherwise.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from ..model.hooks import device_of, frozen
from ..scoring.engine.config import EngineConfig
from ..scoring.engine.refusal import EngineRefused
from ..steering.intervention import Intervention
from ..text.encode_pairs import EncodedPair
from ..text.prompt_tokens import Template
from .answers import LossPart, joined
from .checkpoint import Checkpoints
from .gradients import gradients_on
from .loop import start_run, train_started, untrained
from .one_run import DrawnStep, TrainingRun
from .run_config import RunConfig
from .stacked import Cell, Stack, stacks_of
from .stopping import Step, TrainingStopped

logger = logging.getLogger(__name__)

CellProgress: TypeAlias = Callable[[int, int, int, float], None]
"""Called after each step with (place of the cell, steps done, steps in all, loss)."""


@dataclass(frozen=True)
class TrainingCell:
    """Configuration and data of one of the runs.

    Attributes:
        template: how the tokenizer writes a prompt and its answer.
        pairs: encoded by ``template``; all of one concept.
        run: form, objective, sites and optimiser settings.
        concept: enters the seeds.
        key: by which a checkpoint knows it; its own among the cells.
    """

    template: Template
    pairs: Sequence[EncodedPair]
    run: RunConfig
    concept: str = "default"
    key: str = ""


@dataclass(frozen=True)
class TrainedCell:
    """Result of one run: intervention and history.

    Attributes:
        intervention: the trained intervention; the last good state where the run was stopped.
        history: its steps; empty for closed forms.
        stopped: why the run ended early; None where it did not.
    """

    intervention: Intervention
    history: tuple[Step, ...]
    stopped: TrainingStopped | None = None

    @classmethod
    def ended_by(cls, stop: TrainingStopped) -> TrainedCell:
        """Result of a run that was stopped.

        Args:
            stop: why it ended.
        """
        return cls(stop.intervention, stop.history, stop)


def train_together(
    model: nn.Module,
    cells: Sequence[TrainingCell],
    *,
    stacked: bool | None = None,
    progress: CellProgress | None = None,
    engine: EngineConfig | None = None,
    checkpoints: Checkpoints | None = None,
) -> tuple[TrainedCell, ...]:
    """Train several interventions over one frozen model; a run that stops does not stop the others.

    Args:
        model: a Hugging Face causal LM; its own parameters are not changed.
        cells: what to train.
        stacked: whether cells share launches; None for not on a CPU and so elsewhere. Cells that cannot share (several
            layers, a block that cannot be entered behind) are trained one after the other.
        progress: called after each optimiser step with (place of the cell, steps done, steps in all, loss).
        engine: how losses are computed; the engine's defaults where None.
        checkpoints: an opened checkpoint file, from which an interrupted call goes on; None for none.

    Returns:
        One result per cell, in order.

    Raises:
        ConfigError: a cell without pairs, or a configuration that does not fit the model.
    """
    config = engine or EngineConfig()
    if stacked is None:
        stacked = device_of(model).type != "cpu"
    results = {} if checkpoints is None else _before(model, cells, checkpoints)
    runs: dict[int, TrainingRun] = {}
    with gradients_on(model), frozen(model):
        if stacked and not config.plain:
            runs = dict(_started(model, cells, config, results))
            places = {run: place for place, run in runs.items()}
            for stack in _stacks(model, tuple(runs.values()), config):
                known = {cell.run: cells[places[cell.run]].key for cell in stack.cells}
                with stack.at_work(), checkpoints.at_work() if checkpoints else nullcontext():
                    trained = _train_stack(stack, _placed(progress, places), checkpoints, known)
                results |= {places[run]: result for run, result in trained.items()}
                _keep(checkpoints, {known[run]: result for run, result in trained.items()})
        for place, cell in enumerate(cells):
            if place not in results:
                report = None if progress is None else _at(progress, place)
                results[place] = _alone(model, cell, runs.get(place), config, report, checkpoints)
                _keep(checkpoints, {cell.key: results[place]})
    return tuple(results[place] for place in range(len(cells)))


def _before(model: nn.Module, cells: Sequence[TrainingCell], checkpoints: Checkpoints) -> dict[int, TrainedCell]:
    """What an interrupted call had finished."""
    found: dict[int, TrainedCell] = {}
    for place, cell in enumerate(cells):
        made = untrained(model, cell.template, cell.run, cell.concept)
        history = checkpoints.finished(cell.key, made)
        if history is not None:
            found[place] = TrainedCell(made, tuple(Step(**step) for step in history))
    return found


def _keep(checkpoints: Checkpoints | None, results: Mapping[str, TrainedCell]) -> None:
    good = {key: result for key, result in results.items() if result.stopped is None}
    if checkpoints is not None and good:
        checkpoints.finish(
            {key: (one.intervention, [asdict(step) for step in one.history]) for key, one in good.items()}
        )


def _started(
    model: nn.Module, cells: Sequence[TrainingCell], config: EngineConfig, results: dict[int, TrainedCell]
) -> Iterator[tuple[int, TrainingRun]]:
    """Initialise the runs; closed forms are fitted at once."""
    for place, cell in enumerate(cells):
        if place in results:
            continue
        try:
            started = start_run(model, cell.template, cell.pairs, cell.run, cell.concept, config)
        except TrainingStopped as stop:
            results[place] = TrainedCell.ended_by(stop)
            continue
        if isinstance(started, TrainingRun):
            yield place, started
        else:
            results[place] = TrainedCell(started, ())


def _alone(
    model: nn.Module,
    cell: TrainingCell,
    started: TrainingRun | None,
    config: EngineConfig,
    report: Callable[[int, int, float], None] | None,
    checkpoints: Checkpoints | None,
) -> TrainedCell:
    try:
        run = started or start_run(model, cell.template, cell.pairs, cell.run, cell.concept, config)
        if not isinstance(run, TrainingRun):
            return TrainedCell(run, ())
        history = train_started(model, cell.template, run, config, report, checkpoints, cell.key)
        return TrainedCell(run.intervention, history)
    except TrainingStopped as stop:
        return TrainedCell.ended_by(stop)


def _stacks(model: nn.Module, runs: Sequence[TrainingRun], config: EngineConfig) -> list[Stack]:
    if len(runs) < 2:
        return []
    try:
        return stacks_of(model, runs, config)
    except EngineRefused as reason:
        logger.warning("trained one after the other, without shared launches: %s", reason)
        return []


def _train_stack(
    stack: Stack,
    progress: Callable[[TrainingRun], None],
    checkpoints: Checkpoints | None,
    keys: Mapping[TrainingRun, str],
) -> dict[TrainingRun, TrainedCell]:
    """Run all optimiser steps of runs that share launches."""
    results: dict[TrainingRun, TrainedCell] = {}
    waiting = {cell: cell.run.steps() for cell in stack.cells}
    if checkpoints is not None:
        for cell, steps in waiting.items():
            cell.run.passed(steps, checkpoints.resume(keys[cell.run], cell.run))
    while waiting:
        drawn: dict[Cell, DrawnStep] = {}
        for cell, steps in list(waiting.items()):
            found = next(steps, None)
            if found is None:
                del waiting[cell]
                results[cell.run] = _finished(cell.run)
            else:
                drawn[cell] = found
        if not drawn:
            break
        losses = _gradients(stack, drawn)
        to_read = [cell.run.to_read(values) for cell, values in losses.items()]
        read = iter(torch.cat(to_read).tolist())  # the step's one read of the device, for all runs
        for cell, values in zip(losses, to_read, strict=True):
            try:
                cell.run.conclude(drawn[cell], [next(read) for _ in values])
                progress(cell.run)
            except TrainingStopped as stop:
                del waiting[cell]
                results[cell.run] = TrainedCell.ended_by(stop)
        if checkpoints is not None:
            ended = {run for run, result in results.items() if result.stopped is not None}
            checkpoints.after_step({key: run for run, key in keys.items() if run not in ended})
    for run in results:
        run.intervention.zero_grad()
    return results


def _finished(run: TrainingRun) -> TrainedCell:
    try:
        return TrainedCell(run.intervention, run.finish())
    except TrainingStopped as stop:
        return TrainedCell.ended_by(stop)


def _gradients(stack: Stack, drawn: dict[Cell, DrawnStep]) -> dict[Cell, list[Tensor]]:
    """Gradients of a step of each run and each batch's share of its loss; by smaller launches where memory is short."""
    noise = {cell: cell.run.noise.get_state() for cell in drawn}
    while True:
        for cell in drawn:
            cell.run.optimizer.zero_grad()
        try:
            losses: dict[Cell, list[Tensor]] = {cell: [] for cell in drawn}
            for turn in range(max(len(step.batches) for step in drawn.values())):
                _backward(stack, drawn, turn, losses)
            return losses
        except torch.OutOfMemoryError:
            if not stack.engine.shrink():
                raise
        for cell, state in noise.items():
            cell.run.noise.set_state(state)


def _backward(stack: Stack, drawn: dict[Cell, DrawnStep], turn: int, losses: dict[Cell, list[Tensor]]) -> None:
    """Add the gradients of one batch of each run that has so many; its losses, not yet read."""
    batches = {cell: step.strengths[turn] for cell, step in drawn.items() if turn < len(step.strengths)}
    lanes = [(cell, side) for cell, batch in batches.items() for side in cell.run.sides.of(batch)]
    shares: dict[Cell, list[Tensor]] = {cell: [] for cell in batches}

    def back(parts: Sequence[tuple[int, LossPart]]) -> None:
        found = [(lanes[i][0], lanes[i][0].run.share(drawn[lanes[i][0]], lanes[i][1], part)) for i, part in parts]
        torch.stack([loss for _, loss in found]).sum().backward()  # type: ignore[no-untyped-call]
        for cell, loss in found:
            shares[cell].append(loss.detach())

    launches = stack.parts(lanes)
    if all(cell.run.objective.pairwise for cell in batches):
        for parts in launches:
            back(parts)
    else:  # a loss of a whole batch needs all its launches' graphs
        whole: dict[int, list[LossPart]] = {}
        for i, part in (found for parts in launches for found in parts):
            whole.setdefault(i, []).append(part)
        back([(i, joined(parts)) for i, parts in sorted(whole.items())])
    for cell, values in shares.items():
        losses[cell].append(torch.stack(values).sum())


def _at(progress: CellProgress, place: int) -> Callable[[int, int, float], None]:
    return lambda done, total, loss: progress(place, done, total, loss)


def _placed(progress: CellProgress | None, places: dict[TrainingRun, int]) -> Callable[[TrainingRun], None]:
    def report(run: TrainingRun) -> None:
        if progress is not None:
            progress(places[run], len(run.history), run.total, run.history[-1].loss)

    return report
