"""What is said where a long run is stopped by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..storage import Journal
from .console import say


@contextmanager
def resumable(journal: Journal | None) -> Iterator[None]:
    """Say, where a run is stopped by hand, that the same command goes on from what its journal holds.

    Args:
        journal: of the run; None where it keeps none.
    """
    try:
        yield
    except KeyboardInterrupt:
        if journal is not None and journal.holds_parts:
            say(f"stopped; finished parts are kept in {journal.path}: give the same command again to go on")
        raise
