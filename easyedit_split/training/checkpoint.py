"""Checkpoints of a training run: a killed ``train`` goes on and becomes, byte for byte, what it would have become.

    checkpoint = parameters, AdamW's moments, the state of the dropout noise, the last good state and the history of the
    concept under way; parameters and history of the finished ones; a fingerprint of everything the run depends on

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
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from ..files.journal import differing, free_name
from ..files.reading import listed, read_bounded
from ..steering.intervention import Intervention
from ..storage import StorageError, write_whole, writing
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


class Checkpoints:
    """The checkpoint file of a run of one or more concepts.

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
        histories = [*self._state.get("done", {}).values(), self._state.get("history", ())]
        return sum(map(len, histories))

    def open(self, fingerprint: dict[str, Any]) -> None:
        """Read the file, where it is of the same run.

        Args:
            fingerprint: plain JSON values of everything that the run depends on.

        Raises:
            StorageError: a file is there and cannot be read.
        """
        self._fingerprint = json.loads(json.dumps(fingerprint))
        self._since = time.monotonic()
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

    def finished(self, concept: str, made: Intervention) -> list[dict[str, Any]] | None:
        """Fill in a concept that was finished before, and return its history; None for any other.

        Args:
            concept: its name.
            made: the untrained intervention.
        """
        if concept not in self._state.get("done", {}):
            return None
        _fill(dict(made.named_parameters()), self._tensors, f"done/{concept}/")
        return list(self._state["done"][concept])

    def finish_concept(self, concept: str, made: Intervention, history: list[dict[str, Any]]) -> None:
        """Keep a concept that is finished; it is written with the next checkpoint.

        Args:
            concept: its name.
            made: the trained intervention.
            history: its steps.

        Raises:
            KeyboardInterrupt: the run was asked to stop, and its state is saved.
        """
        self._drop_current()
        self._state.setdefault("done", {})[concept] = history
        self._tensors |= _copies(dict(made.named_parameters()), f"done/{concept}/")
        asked = self._asked()
        if asked or self._due():
            self._save()
        if asked:
            raise KeyboardInterrupt

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """While a run takes its steps."""
        with self._stopping() as self._asked:
            yield

    def resume(self, run: TrainingRun) -> int:
        """Put a run that was interrupted into the state it had, and return the number of its steps.

        Args:
            run: before its first step.
        """
        if self._state.get("concept") != run.concept:
            return 0
        parameters = dict(run.intervention.named_parameters())
        _fill(parameters, self._tensors, "now/")
        run.good.load({name: self._tensors[f"good/{name}"] for name in parameters}, self._state["good_steps"])
        for name, parameter in parameters.items():
            kept = {key: self._tensors.get(f"adam/{name}/{key}") for key in _MOMENTS}
            if kept["step"] is not None:
                moments = {key: value.to(parameter.device) for key, value in kept.items() if value is not None}
                run.optimizer.state[parameter] = {**moments, "step": kept["step"].clone()}
        run.noise.set_state(self._tensors["noise"].clone())
        run.history.extend(Step(**step) for step in self._state["history"])
        return len(run.history)

    def after_step(self, run: TrainingRun) -> None:
        """Write a checkpoint where one is due, or where the run was asked to stop, which it then does.

        Args:
            run: after a step.

        Raises:
            KeyboardInterrupt: the run was asked to stop, and its state is saved.
        """
        self._steps += 1
        asked = self._asked()
        if asked or self._due():
            self._take(run)
            self._save()
        if asked:
            raise KeyboardInterrupt

    def remove(self) -> None:
        """Remove the file: the result is in place."""
        with writing(self.path):
            self.path.unlink(missing_ok=True)

    def _due(self) -> bool:
        steps, seconds = self.every.steps, self.every.seconds
        if steps is not None:
            return self._steps >= steps
        return seconds is not None and time.monotonic() - self._since >= seconds

    def _drop_current(self) -> None:
        for key in ("concept", "history", "good_steps"):
            self._state.pop(key, None)
        self._tensors = {name: value for name, value in self._tensors.items() if name.startswith("done/")}

    def _take(self, run: TrainingRun) -> None:
        self._drop_current()
        parameters = dict(run.intervention.named_parameters())
        history = [dataclasses.asdict(step) for step in run.history]
        self._state |= {"concept": run.concept, "history": history, "good_steps": run.good.steps}
        self._tensors |= _copies(parameters, "now/")
        self._tensors |= _copies(run.good.copies(parameters), "good/")
        for name, parameter in parameters.items():
            self._tensors |= _copies(dict(run.optimizer.state.get(parameter, {})), f"adam/{name}/")
        self._tensors["noise"] = run.noise.get_state()

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
