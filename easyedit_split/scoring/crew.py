"""Distributed sweep: several processes that Accelerate launches share the points of one sweep.

    accelerate launch --num_processes 2 -m easyedit_split.cli.main sweep ...

A work item is one concept's intervention at one m, over that concept's texts. Items are dealt out in order, in runs of
neighbours, so that a process prepares few concepts; what each found is given to all, so every process holds the whole
table and all agree on the next m. A score does not depend on who computes it, so the table is that of one process, byte
for byte, where the machines compute alike.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch

Item = TypeVar("Item")


@runtime_checkable
class Crew(Protocol):
    """Interface of the process group that works on one sweep.

    Attributes:
        rank: place of this process among them, from 0.
        size: how many there are.
    """

    rank: int
    size: int

    def share(self, items: Sequence[Item]) -> list[Item]:
        """Shard of the items for this process; the shards of all ranks together are all items.

        Args:
            items: the same in every process.
        """
        ...

    def everyone(self, found: Sequence[Item]) -> list[Item]:
        """All-gather: results of all processes, in rank order; every process must call it.

        Args:
            found: by this process.
        """
        ...


class Alone:
    """Process group of a single process."""

    rank, size = 0, 1
    device = None
    """Any that the caller likes."""

    def share(self, items: Sequence[Item]) -> list[Item]:
        """All items.

        Args:
            items: any.
        """
        return list(items)

    def everyone(self, found: Sequence[Item]) -> list[Item]:
        """The results, unchanged.

        Args:
            found: any.
        """
        return list(found)


class Launched:
    """Process group that ``accelerate launch`` started."""

    def __init__(self) -> None:
        from accelerate import PartialState  # type: ignore[import-untyped]

        self._state: Any = PartialState(cpu=not torch.cuda.is_available())
        self.rank, self.size = int(self._state.process_index), int(self._state.num_processes)

    @property
    def device(self) -> str:
        """The device that this process is to use."""
        return str(self._state.device)

    def share(self, items: Sequence[Item]) -> list[Item]:
        """Contiguous shard of the items, as Accelerate splits a list.

        Args:
            items: the same in every process.
        """
        with self._state.split_between_processes(list(items)) as mine:
            return list(mine)

    def everyone(self, found: Sequence[Item]) -> list[Item]:
        """All-gather the results of all processes.

        Args:
            found: by this process.
        """
        from accelerate.utils import gather_object  # type: ignore[import-untyped]

        return list(gather_object(list(found)))


def crew_here() -> Alone | Launched:
    """Process group of this process, as Accelerate launched it; a group of one otherwise."""
    return Launched() if int(os.environ.get("WORLD_SIZE", "1")) > 1 else Alone()
