"""Message on how to resume a long run that was interrupted by the user."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..files.journal import Journal, journal_of
from ..storage import StorageError
from .console import say
from .interrupts import NOTHING, keeping


@contextmanager
def resumable(journal: Journal | None) -> Iterator[None]:
    """Print how to resume when a run is interrupted, or cannot write, whose journal holds finished parts.

    Args:
        journal: of the run; None where it keeps none.
    """

    def kept() -> str:
        if journal is None or not journal.holds_parts:
            return NOTHING
        return f"interrupted; {parts}"

    parts = "" if journal is None else f"finished parts are in {journal.path}: run the same command again to resume"
    with keeping(kept):
        try:
            yield
        except StorageError:
            if journal is not None and journal.holds_parts:
                say(parts, "yellow")
            raise


def unfinished(result: Path, last: Path | None = None) -> bool:
    """Whether a run that did not end left its finished parts beside a result that it did not write.

    Args:
        result: the file or folder that has the journal.
        last: what the run writes last; the result itself where None.
    """
    return journal_of(result).is_file() and not (last or result).exists()
