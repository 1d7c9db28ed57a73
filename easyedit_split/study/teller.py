"""Interface for progress reports of a run: messages and progress bars."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable


@runtime_checkable
class Teller(Protocol):
    """Receives the messages and progress bars of a run."""

    def say(self, text: str) -> None:
        """Report one result or decision in a sentence.

        Args:
            text: the sentence.
        """
        ...

    def bar(self, label: str) -> AbstractContextManager[Callable[..., None]]:
        """Show a progress bar.

        Args:
            label: what is under way.

        Returns:
            ``advance(done, total, note)``, in a context manager.
        """
        ...
