"""How a run speaks to whoever waits for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable


@runtime_checkable
class Teller(Protocol):
    """Hears what a run does, finds and decides."""

    def say(self, text: str) -> None:
        """Tell one sentence on what was found or decided.

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
