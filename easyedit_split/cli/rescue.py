"""A result that cannot be written where it was wanted is written to a second place, which is named."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from ..storage import StorageError
from ..types import SteeringError
from .console import say


def write_or_rescue(to: Path, write: Callable[[Path], object]) -> None:
    """Write a result; where that fails, write it to the first place that takes it, and raise all the same.

    Args:
        to: where it was wanted.
        write: writes it to the path that it is given.

    Raises:
        SteeringError: why it could not be written to ``to``, and where it is now.
    """
    try:
        write(to)
    except (SteeringError, OSError) as error:
        for place in places_for(to):
            try:
                write(place)
            except (SteeringError, OSError):
                _remove(place)
                continue
            say(f"the result is safe in {place}", "yellow")
            raise StorageError(f"{to}: {error}" if isinstance(error, OSError) else str(error)) from error
        raise


def _remove(place: Path) -> None:
    """Remove what a failed attempt left at a place that was free."""
    if place.is_dir():
        shutil.rmtree(place, ignore_errors=True)
    else:
        with suppress(OSError):
            place.unlink(missing_ok=True)


def places_for(to: Path) -> Iterator[Path]:
    """Free paths for a result that has no place: beside it, in the working folder, at home, in the temporary folder.

    Args:
        to: where it was wanted.
    """
    name = f"{to.stem}-rescued"
    for folder in (to.parent, Path.cwd(), Path.home(), Path(tempfile.gettempdir())):
        for number in ("", *(f"-{k}" for k in range(2, 100))):
            place = folder / f"{name}{number}{to.suffix}"
            if not os.path.lexists(place):
                yield place
                break
