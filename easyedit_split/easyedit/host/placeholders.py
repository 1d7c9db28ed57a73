"""Placeholder modules for optional packages that EasyEdit2 imports at the top of its files but rarely uses.

While a part of the host is imported and ``sae_lens`` or ``python-dotenv`` is not installed, a stand-in takes its place;
afterwards it is gone from ``sys.modules``, so nobody else ever meets it. Using what came from a stand-in raises one
sentence that names the package; methods that never use it work.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any, NoReturn

from ...types import ConfigError

logger = logging.getLogger(__name__)

OPTIONAL = {
    "sae_lens": ("sae-lens", ("loading", "loading.pretrained_sae_loaders", "loading.pretrained_saes_directory",
                              "toolkit", "toolkit.pretrained_sae_loaders", "toolkit.pretrained_saes_directory")),
    "dotenv": ("python-dotenv", ()),
}  # fmt: skip
"""Import name: its distribution and the submodules that the host imports."""

_said: set[str] = set()


class _Missing:
    """Placeholder for a name of a package that is not installed; using it raises an error.

    Args:
        name: what was asked of the package.
        distribution: the name to install it by.
    """

    def __init__(self, name: str, distribution: str) -> None:
        self._name = name
        self._distribution = distribution

    def _refuse(self) -> NoReturn:
        raise ConfigError(
            f"this EasyEdit2 method needs {self._name} of the package {self._distribution}, which is not installed: "
            f"pip install {self._distribution}, or use a method that does without it"
        )

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        self._refuse()

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse()


def _load_dotenv() -> bool:
    """Replacement for python-dotenv's ``load_dotenv()`` where there is no .env file: it does nothing."""
    if os.path.exists(".env"):
        raise ConfigError("a file .env lies here, and reading it needs python-dotenv: pip install python-dotenv")
    return False


def _stand_in(name: str, distribution: str) -> ModuleType:
    module = ModuleType(name, f"Stand-in for {name}, which is not installed.")
    module.__spec__ = ModuleSpec(name, None, is_package=True)
    module.__path__ = []
    if name == "dotenv":
        module.load_dotenv = _load_dotenv  # type: ignore[attr-defined]

    def missing(attribute: str) -> _Missing:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        return _Missing(f"{name}.{attribute}", distribution)

    module.__getattr__ = missing  # type: ignore[method-assign]
    return module


def _is_installed(name: str) -> bool:
    if name in sys.modules:
        return sys.modules[name] is not None
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


@contextmanager
def placeholders() -> Iterator[None]:
    """Context in which placeholder modules stand for the missing optional packages."""
    added: list[str] = []
    for name, (distribution, submodules) in OPTIONAL.items():
        if _is_installed(name):
            continue
        if name not in _said:
            _said.add(name)
            logger.warning("%s is not installed: only the EasyEdit2 methods that need it are disabled", distribution)
        for full in (name, *(f"{name}.{part}" for part in submodules)):
            sys.modules[full] = _stand_in(full, distribution)
            added.append(full)
    try:
        yield
    finally:
        for full in added:
            sys.modules.pop(full, None)
