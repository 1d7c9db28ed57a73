"""Record of every monkey-patch that the plugin applies to EasyEdit2, which can list and undo them.

No file of the host is touched: a change sets an attribute of a module or class, an entry of a dictionary, or an element
of a list of the running process. ``Ledger.undo`` restores them in reverse order; what others changed meanwhile
is left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_ABSENT = object()


@dataclass(frozen=True)
class Change:
    """One monkey-patch: the name of the patched object, and a function that undoes it.

    Attributes:
        name: what was touched.
        undo: takes it back.
    """

    name: str
    undo: Callable[[], None]


class Ledger:
    """List of monkey-patches in the order they were made."""

    def __init__(self) -> None:
        self._changes: list[Change] = []

    def set_attribute(self, owner: Any, name: str, value: Any, label: str) -> None:
        """Set ``owner.name`` and record how to undo it.

        Args:
            owner: the object.
            name: of its attribute.
            value: the new value.
            label: the owner's dotted name in reports.
        """
        before = vars(owner).get(name, _ABSENT)
        setattr(owner, name, value)

        def undo() -> None:
            if vars(owner).get(name, _ABSENT) is not value:
                return
            if before is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, before)

        self._changes.append(Change(f"{label}.{name}", undo))

    def set_item(self, mapping: dict[str, Any], key: str, value: Any, label: str) -> None:
        """Set ``mapping[key]`` and record how to undo it.

        Args:
            mapping: the dictionary.
            key: of its item.
            value: the new value.
            label: the dictionary's dotted name in reports.
        """
        before = mapping.get(key, _ABSENT)
        mapping[key] = value

        def undo() -> None:
            if mapping.get(key, _ABSENT) is not value:
                return
            if before is _ABSENT:
                del mapping[key]
            else:
                mapping[key] = before

        self._changes.append(Change(f"{label}[{key!r}]", undo))

    def append(self, items: list[str], value: str, label: str) -> None:
        """Append ``value`` to ``items`` unless it is there, and record how to undo it.

        Args:
            items: the list.
            value: what to append.
            label: the list's dotted name in reports.
        """
        if value in items:
            return
        items.append(value)

        def undo() -> None:
            if value in items:
                items.remove(value)

        self._changes.append(Change(f"{label} += {value!r}", undo))

    def touched(self) -> tuple[str, ...]:
        """Names of everything that is patched now, in the order of patching."""
        return tuple(change.name for change in self._changes)

    @property
    def length(self) -> int:
        """Number of patches in place."""
        return len(self._changes)

    def undo(self, down_to: int = 0) -> None:
        """Undo patches, last first.

        Args:
            down_to: how many of the first to keep.
        """
        while len(self._changes) > down_to:
            self._changes.pop().undo()


LEDGER = Ledger()
"""The process's one ledger."""
