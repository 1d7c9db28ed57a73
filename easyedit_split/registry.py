"""Registries of classes by name: a built-in class is one file in its folder, a third party's is an entry point.

A registry imports every module of its folder on first use, so that a new file with one ``@REGISTRY.register("name")``
line is found without a second edit, and then loads the entry points of its group. A name taken twice is an error.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import pkgutil
import re
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Generic, TypeVar

from .files.reading import listed, reason_of, shown
from .types import ConfigError

T = TypeVar("T")
_COMPARED = 200
"""Longest name and most names that are compared by likeness, which takes their product."""
_REGISTERED = re.compile(r"""^@?[A-Z]+\.register\("([^"]+)"\)""", re.MULTILINE)


def nearest(name: str, allowed: list[str] | tuple[str, ...]) -> str:
    """The end of an error message about an unknown name: the closest allowed name, if any is close, then all of them.

    Args:
        name: what was asked for.
        allowed: what exists.
    """
    comparable = len(name) <= _COMPARED and len(allowed) <= _COMPARED
    close = difflib.get_close_matches(name, allowed, n=1, cutoff=0.5) if comparable else []
    hint = f" (did you mean {shown(close[0])}?)" if close else ""
    return f"{hint}; allowed: {listed(allowed, 30, 200) or 'none'}"


def names_without_loading(folder: str, group: str) -> tuple[str, ...]:
    """The sorted names that a registry would list, read from sources and package metadata without any import.

    For help texts, which are not to wait for torch.

    Args:
        folder: dotted name of the package whose modules register themselves.
        group: entry-point group in which installed packages add theirs.
    """
    spec = importlib.util.find_spec(folder)
    places = list(spec.submodule_search_locations or ()) if spec else []
    sources = [path.read_text("utf-8") for place in places for path in Path(place).glob("*.py")]
    built_in = {name for source in sources for name in _REGISTERED.findall(source)}
    return tuple(sorted(built_in | {point.name for point in entry_points(group=group)}))


class Registry(Generic[T]):
    """Classes by name, found in a folder of this package and in the entry points of installed packages.

    Args:
        kind: what one entry is called in messages, e.g. ``"form"``.
        folder: dotted name of the package whose modules register themselves.
        group: entry-point group in which installed packages add theirs, e.g. ``"easyedit_split.forms"``.
    """

    def __init__(self, kind: str, folder: str, *, group: str) -> None:
        self.kind = kind
        self.folder = folder
        self.group = group
        self._entries: dict[str, T] = {}
        self._discovered = False

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that registers a class under ``name``.

        Args:
            name: what configurations, files and the command line call it.

        Raises:
            ConfigError: the name is taken.
        """

        def add(entry: T) -> T:
            known = self._entries.get(name)
            if known is not None and known is not entry:
                raise ConfigError(f"{self.kind} {name!r} is registered twice, by {known!r} and {entry!r}: rename one")
            self._entries[name] = entry
            return entry

        return add

    def _discover(self) -> None:
        if self._discovered:
            return
        self._discovered = True  # modules that are being imported may ask
        try:
            package = importlib.import_module(self.folder)
            for module in pkgutil.iter_modules(package.__path__):
                importlib.import_module(f"{self.folder}.{module.name}")
            for point in sorted(entry_points(group=self.group), key=lambda point: point.name):
                self._add_entry_point(point)
        except BaseException:
            self._discovered = False  # half a registry must not pass for a whole one
            raise

    def _add_entry_point(self, point: EntryPoint) -> None:
        try:
            entry: T = point.load()
        except Exception as error:
            raise ConfigError(
                f"{self.kind} {point.name!r} of an installed package could not be loaded "
                f"({point.value}: {type(error).__name__}: {reason_of(error)}): fix or uninstall that package"
            ) from error
        self.register(point.name)(entry)

    def __getitem__(self, name: str) -> T:
        self._discover()
        if name not in self._entries:
            raise ConfigError(f"unknown {self.kind} {shown(name)}{nearest(name, self.names())}")
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        self._discover()
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def names(self) -> tuple[str, ...]:
        """All registered names, sorted."""
        self._discover()
        return tuple(sorted(self._entries))
