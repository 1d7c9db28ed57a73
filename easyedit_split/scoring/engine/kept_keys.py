"""Cached attention keys and values of tokens whose state no m changes: computed once, used by every forward pass.

    keys of block i in a launch = [kept keys of block i of the row's constant tokens, keys of the row's own tokens]

The model's own attention asks its cache to ``update``; ``Recorder`` notes what it is given and ``Keeper`` puts the kept
ones before it. Keys are stored as the model caches them, rotary position included, in its dtype.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import DynamicCache


class Recorder(DynamicCache):  # type: ignore[misc]
    """Cache object that records the keys and values ``[b n_kv s h]`` of each block."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: dict[int, tuple[Tensor, Tensor]] = {}

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Record a block's keys and values and return them unchanged.

        Args:
            key_states: of the call.
            value_states: of the call.
            layer_idx: 0-based index of the block.
            *args: the decoder's own, unused.
            **kwargs: the decoder's own, unused.
        """
        self.noted[layer_idx] = (key_states, value_states)
        return key_states, value_states


class KeptKeys:
    """Cached keys and values by block and node of a token trie.

    Args:
        nodes: nodes in the trie that they may be kept for.
    """

    def __init__(self, nodes: int) -> None:
        self.place = torch.full((nodes,), -1)
        self.blocks: dict[int, tuple[Tensor, Tensor]] = {}

    def fill(self, nodes: Int[Tensor, " k"], blocks: dict[int, tuple[Tensor, Tensor]]) -> None:
        """Compute and cache the keys and values of ``nodes``, all in one call.

        Args:
            nodes: of the trie, each once.
            blocks: for each block that runs, keys and values ``[k n_kv h]``.
        """
        self.place[nodes] = torch.arange(len(nodes))
        self.blocks = blocks

    @property
    def nbytes(self) -> int:
        """Memory of the cached keys and values, in bytes."""
        return sum(t.numel() * t.element_size() for pair in self.blocks.values() for t in pair)

    def before(self, constant: Int[Tensor, "r k"], repeats: int) -> Keeper:
        """A cache object that puts each row's cached keys and values before the new ones.

        Args:
            constant: nodes of the trie per row, any node under padding.
            repeats: how often the rows stand in the launch, one after the other.
        """
        places = self.place[constant].clamp(min=0)
        one = bool((places == places[:1]).all())
        return Keeper(self.blocks, places[:1] if one else places, len(constant) * repeats)


class Keeper(DynamicCache):  # type: ignore[misc]
    """Cache object that prepends cached keys and values to those that a block computes.

    Args:
        blocks: as in ``KeptKeys``.
        places: ``[r k]`` of them for each row, or ``[1 k]`` the same for all.
        rows: rows of the launch.
    """

    def __init__(self, blocks: dict[int, tuple[Tensor, Tensor]], places: Tensor, rows: int) -> None:
        super().__init__()
        self._blocks, self._rows, self._length = blocks, rows, int(places.shape[1])
        devices = {kept.device for kept, _ in blocks.values()}
        self._places = {device: places.to(device) for device in devices}  # once, not in every block

    def get_seq_length(self, *args: Any, **kwargs: Any) -> int:
        """Number of cached keys that come before the call's own.

        Args:
            *args: the decoder's own, unused.
            **kwargs: the decoder's own, unused.
        """
        return self._length

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Cached keys and values, followed by the new ones.

        Args:
            key_states: of the call.
            value_states: of the call.
            layer_idx: 0-based index of the block.
            *args: the decoder's own, unused.
            **kwargs: the decoder's own, unused.
        """
        keys, values = self._blocks[layer_idx]
        return self._with(keys, key_states), self._with(values, value_states)

    def _with(self, kept: Tensor, made: Tensor) -> Tensor:
        before = kept[self._places[kept.device]].transpose(1, 2).to(made.device)  # [1 or r, n_kv, k, h]
        repeats = self._rows if len(before) == 1 else self._rows // len(before)
        shape = (repeats, -1, -1, -1) if len(before) == 1 else None
        whole = before.expand(*shape) if shape else before.repeat(repeats, 1, 1, 1)
        return torch.cat([whole, made], dim=-2)


__all__ = ["Keeper", "KeptKeys", "Recorder"]
