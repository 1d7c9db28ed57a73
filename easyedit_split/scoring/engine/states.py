"""Cached hidden states of the unsteered model for a set of texts at one point of the network.

    states[name][node]        one row per node of the texts' trie

They are the same for every m, epoch, form, objective, seed and concept. They are filled in rows planned from the texts
alone, never from what happens to be missing: in half precision a state depends on which tokens stand in its row, and so
a run that is taken up again sees what the first one saw. They stay on the model's device, else in main memory, else
they are computed again for each use by the same rows: which of these is a matter of memory, not of numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from ...types import IntArray
from .packing import PackedRow

Compute = Callable[[PackedRow], dict[str, Tensor]]
"""From one planned row to the states ``[n width]`` of its tokens."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which packed row computes the state of each node of the token trie.

    Attributes:
        rows: packed rows of the bare model.
        owner: ``[nodes]`` the first row that holds each node, whose state is the one that counts.
    """

    rows: tuple[PackedRow, ...]
    owner: IntArray

    @classmethod
    def of(cls, rows: Sequence[PackedRow], nodes: int) -> Plan:
        """The plan that these packed rows make up.

        Args:
            rows: which together hold every node.
            nodes: how many there are.
        """
        owner = np.full(nodes, -1, dtype=np.int64)
        for i, row in reversed(list(enumerate(rows))):
            owner[row.node] = i
        return cls(tuple(rows), owner)


class States:
    """Cached tensors at one point of the network.

    Args:
        plan: how they are made.
        keep: where they stay; None to compute them again for each use.
    """

    def __init__(self, plan: Plan, keep: torch.device | None) -> None:
        self.plan, self.keep = plan, keep
        self.tensors: dict[str, Tensor] = {}

    @property
    def nbytes(self) -> int:
        """Memory of the cached tensors, in bytes."""
        return sum(t.numel() * t.element_size() for t in self.tensors.values())

    def fill(self, compute: Compute, device: torch.device) -> None:
        """Compute all cached tensors.

        Args:
            compute: makes one row.
            device: where they stay.
        """
        self.tensors = self._made(range(len(self.plan.rows)), compute, device)

    def at(self, nodes: Int[Tensor, "b n"], device: torch.device, compute: Compute) -> dict[str, Tensor]:
        """Hidden states ``[b n width]`` of nodes of the token trie.

        Args:
            nodes: of the trie, on the CPU.
            device: where they are wanted.
            compute: makes one row, where they are not kept.
        """
        tensors = self.tensors
        if self.keep is None:
            needed = np.unique(self.plan.owner[nodes.numpy()]).tolist()
            tensors = self._made(needed, compute, device)
        return {name: t[nodes.to(t.device)].to(device) for name, t in tensors.items()}

    def sample(self, compute: Compute) -> dict[str, Tensor]:
        """Hidden states ``[n width]`` of a sample of the tokens.

        Args:
            compute: makes one row, where they are not kept.
        """
        return compute(self.plan.rows[0]) if self.keep is None else self.tensors

    def _made(self, rows: Sequence[int], compute: Compute, device: torch.device) -> dict[str, Tensor]:
        tensors: dict[str, Tensor] = {}
        for row in rows:
            nodes = self.plan.rows[row].node
            mine = np.flatnonzero(self.plan.owner[nodes] == row)
            for name, made in compute(self.plan.rows[row]).items():
                if name not in tensors:
                    shape = (len(self.plan.owner), made.shape[-1])
                    tensors[name] = torch.zeros(shape, dtype=made.dtype, device=device)
                where = torch.from_numpy(nodes[mine]).to(device)
                tensors[name][where] = made[torch.from_numpy(mine).to(made.device)].to(device)
        return tensors
