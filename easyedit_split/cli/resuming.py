"""Message on how to resume a long run that was interrupted by the user."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..storage import Journal
from .console import say


@contextmanager
def resumable(journal: Journal | None) -> Iterator[None]:
    """Print how to resume when the user interrupts a run whose journal holds finished parts.

    Args:
        journal: of the run; None where it keeps none.
    """
    try:
        yield
    except KeyboardInterrupt:
        if journal is not None and journal.holds_parts:
            say(f"interrupted; finished parts are in {journal.path}: run the same command again to resume")
        raise
