"""Memory budget of the engine's cached states: first on the model's device, then in main memory, else none.

Where something is kept changes time and memory, never a number.
"""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch

from ...config import require

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """Bytes that cached states may take on the model's device and in main memory.

    Attributes:
        device: on the model's device, where that is not the CPU; None for a quarter of what is free there.
        memory: in main memory; None for a quarter of what is free.
    """

    device: int | None = None
    memory: int | None = None

    @classmethod
    def parse(cls, text: str) -> MemoryBudget:
        """Read a budget: ``auto``, ``off``, one size (``2G``) or two (``8G,32G``: device, main memory).

        Args:
            text: as written.

        Raises:
            ConfigError: anything else.
        """
        if text == "auto":
            return cls()
        if text == "off":
            return cls(0, 0)
        sizes = [re.fullmatch(r"(\d+(?:\.\d+)?)([KMG]?)i?B?", part.strip().upper()) for part in text.split(",")]
        require(
            1 <= len(sizes) <= 2 and all(sizes),
            f"cache is {text!r}: write auto, off, a size such as 2G, or two, for the device and main memory: 8G,32G",
        )
        found = [int(float(size[1]) * _UNITS[size[2]]) for size in sizes if size]
        return cls(found[0], found[-1])

    def place(self, size: int, device: torch.device, held: dict[str, int]) -> torch.device | None:
        """The device that ``size`` more bytes may stay on; None for none.

        Args:
            size: bytes.
            device: the model's.
            held: bytes held already, by device type.
        """
        if device.type == "meta":
            return device
        if device.type != "cpu" and held.get(device.type, 0) + size <= self._device(device, held):
            return device
        if held.get("cpu", 0) + size <= self._memory(held):
            return torch.device("cpu")
        return None

    def _device(self, device: torch.device, held: dict[str, int]) -> int:
        if self.device is not None:
            return self.device
        if device.type != "cuda":
            return 0
        return int(torch.cuda.mem_get_info(device)[0] + held.get(device.type, 0)) // 4

    def _memory(self, held: dict[str, int]) -> int:
        if self.memory is not None:
            return self.memory
        return (_available() + held.get("cpu", 0)) // 4


def _available() -> int:
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):  # not a system that tells
        return 4 << 30


@runtime_checkable
class Sized(Protocol):
    """An entry of an LRU cache: any object that knows its size in bytes."""

    @property
    def nbytes(self) -> int:
        """Memory that the object takes, in bytes."""
        ...


class Shelf:
    """LRU cache of what has been computed for one model.

    Attributes:
        checked: what comparisons with the plain scorer found, by kind of intervention.
    """

    def __init__(self) -> None:
        self._held: OrderedDict[Hashable, tuple[Sized, str]] = OrderedDict()
        self.checked: dict[Hashable, Any] = {}

    def get(self, key: Hashable) -> Sized | None:
        """The cached value, or None.

        Args:
            key: what it was put under.
        """
        if key not in self._held:
            return None
        self._held.move_to_end(key)
        return self._held[key][0]

    def put(self, key: Hashable, value: Sized, device: torch.device | None) -> None:
        """Cache ``value``, which is on ``device``.

        Args:
            key: what to find it by.
            value: what to keep.
            device: where it lies.
        """
        self._held[key] = (value, device.type if device is not None else "nowhere")

    def used(self) -> dict[str, int]:
        """Bytes held, by device type."""
        sums: dict[str, int] = {}
        for value, where in self._held.values():
            sums[where] = sums.get(where, 0) + value.nbytes
        return sums

    def room(self, size: int, device: torch.device, budget: MemoryBudget) -> torch.device | None:
        """Free ``size`` bytes, least recently used entries first; return the device, or None where it cannot be done.

        Args:
            size: bytes.
            device: where it would best lie.
            budget: bytes allowed on the device and in main memory.
        """
        empty = budget.place(size, device, {})
        if empty is None:
            return None
        while (found := budget.place(size, device, self.used())) != empty and self._held:
            self._held.popitem(last=False)
        return found
