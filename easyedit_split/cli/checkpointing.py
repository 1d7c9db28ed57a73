"""``train`` and ``steer --checkpoint-every``: how often, where, and what Ctrl-C says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from ..files.journal import Journal
from ..study.kept import Kept
from ..training.checkpoint import Checkpoints, Every
from ..training.train_pairs import RunStopped
from ..types import ConfigError
from . import interrupts

CheckpointOption = Annotated[
    str,
    typer.Option(
        "--checkpoint-every",
        help="Steps (100) or minutes (5m) between checkpoints, from which a stopped run goes on; off for none but at "
        "Ctrl-C.",
    ),
]


def parse_every(text: str) -> Every:
    """Parse ``--checkpoint-every``.

    Args:
        text: ``100`` for steps, ``5m`` for minutes, or ``off``.

    Raises:
        ConfigError: anything else.
    """
    if text == "off":
        return Every(None, None)
    number, minutes = text.removesuffix("m"), text.endswith("m")
    try:
        value = float(number) if minutes else int(number)
        if not 0 < value < 1e9:
            raise ValueError
    except ValueError:
        raise ConfigError(f"--checkpoint-every {text!r}: write a number of steps (100), minutes (5m) or off") from None
    return Every(None, 60 * value) if minutes else Every(int(value), None)


def checkpoints_beside(to: Path, every: Every) -> Checkpoints:
    """The checkpoint file of a run: ``.NAME.checkpoint`` in the folder of its artifact.

    Args:
        to: the artifact's folder.
        every: how often it is written.
    """
    return Checkpoints(to.with_name(f".{to.name}.checkpoint"), every, interrupts.orderly)


@contextmanager
def resumable_training(to: Path, every: Every) -> Iterator[Checkpoints]:
    """While a run trains and its artifact is written: its checkpoint file, which goes when all went well.

    Args:
        to: the artifact's folder.
        every: how often it is written.

    Yields:
        The checkpoints.
    """
    checkpoints = checkpoints_beside(to, every)
    with interrupts.keeping(lambda: kept_by(checkpoints)):
        yield checkpoints
    checkpoints.remove()


@contextmanager
def resumable_study(to: Path, every: Every, fingerprint: dict[str, Any]) -> Iterator[Kept]:
    """While ``steer`` is at work: its checkpoint file and its journal beside its folder, which go when all went well.

    Args:
        to: the run's folder.
        every: how often a checkpoint is written in training.
        fingerprint: plain JSON values of everything that the run depends on.

    Yields:
        What an interrupted run had finished.
    """
    checkpoints, journal = checkpoints_beside(to, every), Journal.beside(to, fingerprint)

    def sentence() -> str:
        if not interrupts.stops_orderly() and journal.holds_parts:
            return f"interrupted; finished parts are in {journal.path}: run the same command again to resume"
        return kept_by(checkpoints)

    with interrupts.keeping(sentence):
        try:
            yield Kept(checkpoints, journal)
        except RunStopped:  # it would stop there again
            checkpoints.remove()
            raise
    journal.finish()
    checkpoints.remove()


def kept_by(checkpoints: Checkpoints) -> str:
    """What a run says when it is interrupted.

    Args:
        checkpoints: of the run.
    """
    if interrupts.stops_orderly():
        return (
            f"interrupted: the last whole step is being saved in {checkpoints.path}; run the same command again to "
            "resume (a second Ctrl-C ends at once)"
        )
    if checkpoints.path.exists():
        return f"interrupted; {checkpoints.steps} steps are in {checkpoints.path}: run the same command again to resume"
    return interrupts.NOTHING
