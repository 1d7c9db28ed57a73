"""What the command line says when a long run is interrupted by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..storage import Journal
from .console import say


@contextmanager
def resumable(journal: Journal | None) -> Iterator[None]:
    """Say how to resume a run that is interrupted by hand, where its journal holds finished parts.

    Args:
        journal: of the run; None where it keeps none.
    """
    try:
        yield
    except KeyboardInterrupt:
        if journal is not None and journal.holds_parts:
            say(f"stopped; finished parts are kept in {journal.path}: give the same command again to go on")
        raise
