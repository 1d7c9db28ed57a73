"""Work around bugs that keep EasyEdit2 from running, by patches at run time that a log line names; no file is changed.

1. Its main branch imports names from ``steer.vector_generators`` and ``steer.vector_appliers`` that those packages no
   longer export. They get a module ``__getattr__`` (PEP 562) that finds the submodule that defines a name. Functions
   are handed out as calls that import on first use, so neither import order nor a missing optional package matters.
2. ``sae_lens`` and ``python-dotenv`` are imported at the top of files that most methods share: see ``placeholders``.
3. Before the wrappers learned it, ``ori_generate`` left ``intervention_dict`` in place, so "unsteered" text was
   steered.
"""

from __future__ import annotations

import functools
import importlib
import logging
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from ...types import ConfigError
from .. import watch
from .isolation import stands_alone, warn_changed
from .patches import LEDGER
from .placeholders import placeholders
from .wrappers import layers_of

logger = logging.getLogger(__name__)

PACKAGES = ("steer.vector_generators", "steer.vector_appliers")
_DEFINITION = re.compile(r"^(class|def) ([A-Za-z]\w*)", re.MULTILINE)


def definitions(package: Path) -> dict[str, tuple[str, str]]:
    """Top-level classes and functions of a package's method folders: name to (``class`` or ``def``, dotted submodule).

    Names that two files define are left out: which one was meant cannot be known.

    Args:
        package: folder of the package.
    """
    found: dict[str, tuple[str, str]] = {}
    twice: set[str] = set()
    for file in sorted(package.glob("*/*.py")):
        module = f"{file.parent.name}.{file.stem}"
        for kind, name in _DEFINITION.findall(file.read_text(encoding="utf-8")):
            if name in found:
                twice.add(name)
            found[name] = (kind, module)
    return {name: place for name, place in found.items() if name not in twice}


def _deferred(module: str, name: str) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with placeholders():
            function = getattr(importlib.import_module(module), name)
        return function(*args, **kwargs)

    call.__name__ = call.__qualname__ = name
    call.__module__ = module
    call.__doc__ = f"Imports {module}.{name} on first use and calls it."
    return call


@stands_alone("exports that it lost are not restored")
def restore_exports(package: ModuleType) -> None:
    """Restore the missing exports of a package, if any are missing.

    Args:
        package: the package.
    """
    if hasattr(package, "__getattr__") or not package.__file__:
        return
    index = definitions(Path(package.__file__).parent)
    lost = [name for name in index if name.endswith("HyperParams") and name not in vars(package)]
    if not lost:
        return

    def __getattr__(name: str) -> Any:
        if name not in index:
            raise AttributeError(f"module {package.__name__!r} has no attribute {name!r}")
        kind, module = index[name]
        full = f"{package.__name__}.{module}"
        if kind == "def":
            return _deferred(full, name)
        with placeholders():
            return getattr(importlib.import_module(full), name)

    LEDGER.set_attribute(package, "__getattr__", __getattr__, package.__name__)
    logger.warning("repaired EasyEdit2: %s exports its %d method names again", package.__name__, len(index))


@stands_alone("unsteered text may be steered")
def clear_interventions_in_ori_generate(module: ModuleType) -> None:
    """Make the wrappers set interventions aside for unsteered text, where they do not.

    Args:
        module: the host's module of model wrappers.
    """
    if hasattr(module.BaseModelWrapper, "_save_and_clear_generation_state"):
        return
    for name, cls in vars(module).items():
        if not (isinstance(cls, type) and issubclass(cls, module.BaseModelWrapper) and "ori_generate" in vars(cls)):
            continue
        LEDGER.set_attribute(
            cls, "ori_generate", _without_interventions(vars(cls)["ori_generate"]), f"{module.__name__}.{name}"
        )
    logger.warning("repaired EasyEdit2: ori_generate sets interventions aside, so unsteered text is unsteered")


def _without_interventions(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def ori_generate(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            saved = [(layer, layer.intervention_dict) for layer in layers_of(self)]
        except (AttributeError, ConfigError) as error:
            warn_changed("unsteered text may be steered", error)
            return original(self, *args, **kwargs)
        for layer, _ in saved:
            layer.intervention_dict = {}
        try:
            return original(self, *args, **kwargs)
        finally:
            for layer, interventions in saved:
                layer.intervention_dict = interventions

    return ori_generate


def install() -> None:
    """Apply the workarounds as EasyEdit2's parts are imported, or now to parts already imported."""
    watch.surround("steer", placeholders)
    for package in PACKAGES:
        watch.surround(package, placeholders)
        watch.watch(package, restore_exports)
    watch.watch("steer.models.model_wrapper", clear_interventions_in_ori_generate)
