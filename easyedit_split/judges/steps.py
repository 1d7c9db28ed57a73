"""Progress over several parts of a run, each of which counts by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from .base import Service


@dataclass
class Steps:
    """How many steps of all are done.

    Attributes:
        total: steps in all.
        progress: called with (steps done, steps in all).
        before: steps of the parts that are done.
    """

    total: int
    progress: Callable[[int, int], None] | None
    before: int = 0

    def inside(self, done: int, of: int = 0) -> None:
        """Report from the part that is under way.

        Args:
            done: steps of this part.
            of: steps of this part in all, not needed.
        """
        if self.progress is not None:
            self.progress(self.before + done, self.total)

    def end(self, steps: int) -> None:
        """Report that a part is done.

        Args:
            steps: that it had.
        """
        self.before += steps
        self.inside(0)

    def heard_by(self, service: Service, steps: int) -> Service:
        """A service that reports its verdicts as one part.

        Args:
            service: what a judge is told.
            steps: of this part.
        """
        return replace(service, progress=lambda done, of: self.inside(steps * done // max(of, 1)))
