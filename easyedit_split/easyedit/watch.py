"""Import hook that runs code right after a module of EasyEdit2 has been imported, without importing it itself.

``watch(name, callback)`` calls ``callback(module)`` at once if the module is loaded, otherwise when its import ends;
``surround(name, context)`` holds a context manager open while the module's own code runs. Both work through one finder
in front of ``sys.meta_path`` that knows only the watched names: every other import passes it by. Another package of the
name ``steer`` is left alone. Standard library only, because the start-up hook of ``activate`` pays for this file in
every process.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

PARTS = ("models", "utils", "vector_appliers", "vector_generators")
"""Subpackages of EasyEdit2's ``steer``; a package with at most one of them is another."""

Callback = Callable[[ModuleType], None]
Context = Callable[[], AbstractContextManager[object]]


def is_host(folders: Iterable[str] | None) -> bool:
    """Whether a package named ``steer`` is EasyEdit2's, by its subpackages.

    Args:
        folders: where it lies (``__path__``); None for a plain module.
    """
    found = {part for folder in folders or () for part in PARTS if (Path(folder) / part).is_dir()}
    return len(found) > 1


def host_is_loaded() -> bool:
    """Whether EasyEdit2's ``steer`` is imported."""
    return is_host(getattr(sys.modules.get("steer"), "__path__", None))


class _Notifying(Loader):
    """EasyEdit2's own module loader, with notifications before and after loading.

    Args:
        loader: the host's own.
        finder: is told when a module begins and ends.
    """

    def __init__(self, loader: Any, finder: Watcher) -> None:
        self._loader = loader
        self._finder = finder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        if spec is not None:  # leave no trace: inspect, pickle and importlib.reload see the host's own loader
            spec.loader = self._loader
        module.__loader__ = self._loader
        with ExitStack() as stack:
            # a live list: what the first context surrounds the same module with is entered too
            for context in self._finder.around.get(module.__name__, []):
                stack.enter_context(context())
            self._loader.exec_module(module)
        for callback in tuple(self._finder.after.get(module.__name__, ())):
            callback(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


class Watcher(MetaPathFinder):
    """Import finder that answers for the watched names only, by asking the finders after it."""

    def __init__(self) -> None:
        self.around: dict[str, list[Context]] = {}
        self.after: dict[str, list[Callback]] = {}

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        """The spec of the next finder, with a loader that notifies.

        Args:
            fullname: dotted name of the module.
            path: where to look.
            target: unused.
        """
        if fullname not in self.after and fullname not in self.around:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is None:
                continue
            host = is_host(spec.submodule_search_locations) if fullname == "steer" else host_is_loaded()
            if spec.loader is not None and host:
                spec.loader = _Notifying(spec.loader, self)
            return spec
        return None


WATCHER = Watcher()


def install() -> None:
    """Insert the finder into ``sys.meta_path``; a second call changes nothing."""
    if WATCHER not in sys.meta_path:
        sys.meta_path.insert(0, WATCHER)


def uninstall() -> None:
    """Remove the finder and all its callbacks."""
    if WATCHER in sys.meta_path:
        sys.meta_path.remove(WATCHER)
    WATCHER.around.clear()
    WATCHER.after.clear()


def watch(name: str, callback: Callback) -> None:
    """Call ``callback(module)`` now if ``name`` is loaded, and after each import of it from now on.

    Args:
        name: dotted name of the module.
        callback: given the module.
    """
    callbacks = WATCHER.after.setdefault(name, [])
    if callback in callbacks:
        return
    callbacks.append(callback)
    module = sys.modules.get(name)
    if module is not None and host_is_loaded() and not getattr(module.__spec__, "_initializing", False):
        callback(module)


def surround(name: str, context: Context) -> None:
    """Keep ``context()`` open around each execution of the module's own code.

    Args:
        name: dotted name of the module.
        context: makes the context manager.
    """
    contexts = WATCHER.around.setdefault(name, [])
    if context not in contexts:
        contexts.append(context)
