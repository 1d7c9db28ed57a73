"""Checkpoints of a training run: a killed ``train`` goes on and becomes, byte for byte, what it would have become.

    checkpoint = parameters, AdamW's moments, the state of the dropout noise, the last good state and the history of
    what is being trained; parameters and history of what is finished; a fingerprint of everything the run depends on

What a run draws follows from its seed, so its batches and factors are drawn again and passed over. The file is a line
with the SHA-256 of what follows, then safetensors; nothing in it is executed. One that is damaged or another run's is
renamed, and training starts anew.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from ..files.journal import differing, free_name
from ..files.reading import listed, read_bounded
from ..steering.intervention import Intervention
from ..storage import StorageError, clear_leftovers, write_whole, writing
from .one_run import TrainingRun
from .stopping import Step

logger = logging.getLogger(__name__)
Asked = Callable[[], bool]
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass(frozen=True, slots=True)
class Every:
    """How often a checkpoint is written.

    Attributes:
        steps: after so many optimiser steps; None where time decides.
        seconds: at the first step after so many seconds; None where steps decide.
    """

    steps: int | None = None
    seconds: float | None = 300.0


class StepGivenUp(Exception):
    """A step was left before its update, because the run was asked to stop."""


class Checkpoints:
    """The checkpoint file of a run of one or more interventions, each known by a key: its concept's name, for one.

    Args:
        path: the file.
        every: how often it is written.
        stopping: held while a run takes its steps; gives whether it was asked to stop.
    """

    def __init__(
        self,
        path: Path,
        every: Every | None = None,
        stopping: Callable[[], AbstractContextManager[Asked]] = lambda: nullcontext(lambda: False),
    ) -> None:
        self.path, self.every, self._stopping = path, every or Every(), stopping
        self._fingerprint: dict[str, Any] = {}
        self._state: dict[str, Any] = {}
        self._tensors: dict[str, Tensor] = {}
        self._asked: Asked = lambda: False
        self._since, self._steps = time.monotonic(), 0
        self._warned = False

    @property
    def steps(self) -> int:
        """Optimiser steps that the file holds, of all concepts."""
        under_way = (kept["history"] for kept in self._state.get("now", {}).values())
        return sum(map(len, (*self._state.get("done", {}).values(), *under_way)))

    def open(self, fingerprint: dict[str, Any]) -> None:
        """Read the file, where it is of the same run.

        Args:
            fingerprint: plain JSON values of everything that the run depends on.

        Raises:
            StorageError: a file is there and cannot be read.
        """
        self._fingerprint = json.loads(json.dumps(fingerprint))
        self._since = time.monotonic()
        clear_leftovers(self.path)
        found = _read(self.path)
        if found is None:
            return
        state, tensors = found
        if state.get("fingerprint") != self._fingerprint:
            differs = listed(differing(state.get("fingerprint"), self._fingerprint)) if state else "it is damaged"
            old = free_name(self.path.with_name(f"{self.path.name}.old"))
            with writing(self.path):
                os.replace(self.path, old)
            logger.warning("%s belongs to another run (%s): renamed to %s", self.path, differs, old.name)
            return
        self._state, self._tensors = state, tensors
        logger.info("resuming from %d training steps in %s", self.steps, self.path)

    def finished(self, key: str, made: Intervention) -> list[dict[str, Any]] | None:
        """Fill in an intervention that was finished before, and return its history; None for any other.

        Args:
            key: its own.
            made: the untrained intervention.
        """
        if key not in self._state.get("done", {}):
            return None
        _fill(dict(made.named_parameters()), self._tensors, f"done/{key}/")
        return list(self._state["done"][key])

    def finish(self, made: Mapping[str, tuple[Intervention, list[dict[str, Any]]]]) -> None:
        """Keep interventions that are finished; they are written with the next checkpoint.

        Args:
            made: by key, with the history of each.

        Raises:
            KeyboardInterrupt: the run was asked to stop, and its state is saved.
        """
        self._drop_current()
        for key, (intervention, history) in made.items():
            self._state.setdefault("done", {})[key] = history
            self._tensors |= _copies(dict(intervention.named_parameters()), f"done/{key}/")
        asked = self._asked()
        if asked or self._due():
            self._save()
        if asked:
            raise KeyboardInterrupt

    def keep(self) -> None:
        """Write what is finished now, because much is to come before the result is in place."""
        self._save()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """While a run takes its steps."""
        with self._stopping() as self._asked:
            yield

    def resume(self, key: str, run: TrainingRun) -> int:
        """Put a run that was interrupted into the state it had, and return the number of its steps.

        Args:
            key: its own.
            run: before its first step.
        """
        kept = self._state.get("now", {}).get(key)
        if kept is None:
            return 0
        parameters = dict(run.intervention.named_parameters())
        _fill(parameters, self._tensors, f"now/{key}/")
        good = {name: self._tensors[f"good/{key}/{name}"] for name in parameters}
        run.good.load(good, kept["good_steps"])
        for name, parameter in parameters.items():
            moments = {what: self._tensors.get(f"adam/{key}/{name}/{what}") for what in _MOMENTS}
            if (step := moments["step"]) is not None:
                there = {what: value.to(parameter.device) for what, value in moments.items() if value is not None}
                run.optimizer.state[parameter] = {**there, "step": step.clone()}
        run.noise.set_state(self._tensors[f"noise/{key}"].clone())
        run.history.extend(Step(**step) for step in kept["history"])
        return len(run.history)

    def after_step(self, runs: Mapping[str, TrainingRun]) -> None:
        """Write a checkpoint where one is due, or where the run was asked to stop, which it then does.

        Args:
            runs: what is being trained, by key, after a step of each.

        Raises:
            KeyboardInterrupt: the run was asked to stop, and its state is saved.
        """
        self._steps += 1
        if self._asked():
            self.stop(runs)
        if self._due():
            self._keep_state(runs)

    def within_step(self) -> None:
        """Give up the step under way where the run was asked to stop: it may be long, and whoever asked is waiting.

        Raises:
            StepGivenUp: it was asked to.
        """
        if self._asked():
            raise StepGivenUp

    def stop(self, runs: Mapping[str, TrainingRun]) -> NoReturn:
        """Save the state after the last whole step, and end.

        Args:
            runs: what is being trained, by key, as after that step.

        Raises:
            KeyboardInterrupt: always.
        """
        self._keep_state(runs)
        raise KeyboardInterrupt

    def remove(self) -> None:
        """Remove the file: the result is in place."""
        with writing(self.path):
            self.path.unlink(missing_ok=True)
        clear_leftovers(self.path)

    def _due(self) -> bool:
        steps, seconds = self.every.steps, self.every.seconds
        if steps is not None:
            return self._steps >= steps
        return seconds is not None and time.monotonic() - self._since >= seconds

    def _drop_current(self) -> None:
        self._state.pop("now", None)
        self._tensors = {name: value for name, value in self._tensors.items() if name.startswith("done/")}

    def _keep_state(self, runs: Mapping[str, TrainingRun]) -> None:
        self._drop_current()
        for key, run in runs.items():
            self._take(key, run)
        self._save()

    def _take(self, key: str, run: TrainingRun) -> None:
        parameters = dict(run.intervention.named_parameters())
        history = [dataclasses.asdict(step) for step in run.history]
        self._state.setdefault("now", {})[key] = {"history": history, "good_steps": run.good.steps}
        self._tensors |= _copies(parameters, f"now/{key}/")
        self._tensors |= _copies(run.good.copies(parameters), f"good/{key}/")
        for name, parameter in parameters.items():
            self._tensors |= _copies(dict(run.optimizer.state.get(parameter, {})), f"adam/{key}/{name}/")
        self._tensors[f"noise/{key}"] = run.noise.get_state()

    def _save(self) -> None:
        state = {**self._state, "fingerprint": self._fingerprint}
        body = save(self._tensors, {"state": json.dumps(state)})
        head = hashlib.sha256(body).hexdigest().encode() + b"\n"
        self._since, self._steps = time.monotonic(), 0
        try:
            write_whole(self.path, lambda to: _write(to, head, body))
        except StorageError as error:  # a run is not to die of it
            if not self._warned:
                logger.warning("no checkpoint is kept: %s", error)
            self._warned = True


def _write(path: Path, head: bytes, body: bytes) -> None:
    path.write_bytes(head + body)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
    """State and tensors of a file; empty ones of a damaged file, None where there is none."""
    try:
        data = read_bounded(path, StorageError)
    except FileNotFoundError:
        return None
    head, _, body = data.partition(b"\n")
    if head != hashlib.sha256(body).hexdigest().encode():
        return {}, {}
    try:
        length = int.from_bytes(body[:8], "little")
        state = json.loads(json.loads(body[8 : 8 + length])["__metadata__"]["state"])
        return state, load(body)
    except (KeyError, SafetensorError, TypeError, ValueError):
        return {}, {}


@torch.no_grad()
def _copies(tensors: dict[str, Any], prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}{name}": value.detach().cpu().clone().contiguous() for name, value in tensors.items()}


@torch.no_grad()
def _fill(parameters: dict[str, nn.Parameter], tensors: dict[str, Tensor], prefix: str) -> None:
    for name, parameter in parameters.items():
        parameter.copy_(tensors[f"{prefix}{name}"])
