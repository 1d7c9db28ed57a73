"""Runs to be made, handed out one after the other to processes that each hold a model.

A process stays with a model and dataset while there are runs of it left, since their caches and judges are shared; then
it takes one that nobody works on, and at last helps where most is left.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from .plan import Run

Group = tuple[str, str]
"""Model and dataset."""


class RunQueue:
    """Runs that are left, and on which model and dataset each process works.

    Args:
        runs: in order.
    """

    def __init__(self, runs: Iterable[Run]) -> None:
        self._left: dict[Group, list[Run]] = {}
        self._at: dict[Hashable, Group] = {}
        for run in runs:
            self._left.setdefault((run.model, run.dataset), []).append(run)

    def __len__(self) -> int:
        return sum(map(len, self._left.values()))

    def next_for(self, process: Hashable) -> Run | None:
        """The next run for a process; None where there is none left.

        Args:
            process: that is at leisure, by any name.
        """
        left = [name for name, runs in self._left.items() if runs]
        group = self._at.pop(process, None)
        if not left:
            return None
        if group not in left:
            free = [name for name in left if name not in self._at.values()]
            same_model = [name for name in free if group and name[0] == group[0]]
            group = next(iter(same_model or free), max(left, key=lambda name: len(self._left[name])))
        assert group is not None
        self._at[process] = group
        return self._left[group].pop(0)
