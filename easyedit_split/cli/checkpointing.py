"""``train --checkpoint-every``: how often, where, and what Ctrl-C says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ..training.checkpoint import Checkpoints, Every
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


def kept_by(checkpoints: Checkpoints) -> str:
    """What a run says when it is interrupted.

    Args:
        checkpoints: of the run.
    """
    if interrupts.stops_orderly():
        return (
            f"interrupted: the step under way is finished and saved in {checkpoints.path}; run the same command again "
            "to resume (a second Ctrl-C ends at once)"
        )
    if checkpoints.path.exists():
        return f"interrupted; {checkpoints.steps} steps are in {checkpoints.path}: run the same command again to resume"
    return interrupts.NOTHING
