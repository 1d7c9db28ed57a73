"""Isolation of the plugin's patches: one that fails costs what it was for, and EasyEdit2 runs on as it is.

A patch that does not find what it knows is taken back whole and said in one warning, with the clone's commit. An error
in the user's input inside a Hydra script is one sentence on stderr and exit code 2, without Hydra's traceback.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from ...types import SteeringError
from .clone import commit_of
from .patches import LEDGER

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
_said: set[str] = set()


def host_commit() -> str:
    """The commit of the EasyEdit2 that is imported, shortened; ``of unknown commit`` where it cannot be read."""
    file = getattr(sys.modules.get("steer"), "__file__", None)
    try:
        commit = commit_of(Path(file).parents[1]) if file else None
    except OSError:
        commit = None
    return f"at {commit[:7]}" if commit else "of unknown commit"


def warn_changed(lost: str, error: BaseException) -> None:
    """Log, once, that EasyEdit2 has changed where the plugin touches it.

    Args:
        lost: what does not work because of it.
        error: what was met.
    """
    if lost not in _said:
        _said.add(lost)
        found = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        logger.warning("EasyEdit2 %s differs (%s): %s; the rest runs as it is", host_commit(), found, lost)


def stands_alone(lost: str) -> Callable[[Callable[[ModuleType], None]], Callable[[ModuleType], None]]:
    """Decorator of a patch ``patch(module)``: where it fails it is undone and logged, and nothing else stops.

    Args:
        lost: what does not work where the patch fails, as the end of a sentence.
    """

    def decorate(patch: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
        @functools.wraps(patch)
        def guarded(module: ModuleType) -> None:
            before = LEDGER.length
            try:
                patch(module)
            except Exception as error:
                LEDGER.undo(down_to=before)
                warn_changed(lost, error)

        return guarded

    return decorate


def inside_hydra() -> bool:
    """Whether a Hydra script is running in this process."""
    core = sys.modules.get("hydra.core.hydra_config")
    return core is not None and bool(core.HydraConfig.initialized())


def says_plainly(function: Callable[..., Result]) -> Callable[..., Result]:
    """Decorator: inside Hydra, an error in the user's input ends the script with one sentence instead of a traceback.

    Args:
        function: what raises it.
    """

    @functools.wraps(function)
    def plainly(*args: Any, **kwargs: Any) -> Result:
        try:
            return function(*args, **kwargs)
        except SteeringError as error:
            if not inside_hydra():
                raise
            sys.stderr.write(f"easyedit-split: {error}\n")
            raise SystemExit(2) from error

    return plainly
