"""Our methods in EasyEdit2's registry: three tables of the running process, no file.

    steer.utils.alg_dict.HYPERPARAMS_CLASS_DICT[name] = {"train": dataclass, "apply": dataclass}
    steer.utils.alg_dict.METHODS_CLASS_DICT[name]     = {"train": function, "apply": function}
    steer.vector_generators.vector_generators.REQUIRED_DATASET_METHODS += [name]   (else it trains on no data)

A name that the host has is never overwritten: registration stops and offers to prefer ours or theirs.
``<package>/<name>`` is registered beside every name and never clashes. Registering twice changes nothing; `unregister`
restores.
"""

from __future__ import annotations

import dataclasses
import logging
import os
from types import ModuleType
from typing import Any, Literal

from ...types import ConfigError
from .. import watch
from ..methods import Method, methods
from . import files, repair, reset, scoring_hook, wrappers
from .patches import LEDGER

logger = logging.getLogger(__name__)

Prefer = Literal["ours", "theirs"]
ALG_DICT = "steer.utils.alg_dict"
GENERATORS = "steer.vector_generators.vector_generators"

_prefer: Prefer | None = None
_theirs: set[str] = set()


def register(prefer: Prefer | None = None) -> None:
    """Register every method now, or as soon as EasyEdit2 is imported.

    Args:
        prefer: on a clash of names, ``ours`` replaces the host's method (until `unregister`), ``theirs`` keeps it and
            leaves ours under ``easyedit_split/NAME``; None stops. ``EASYEDIT_SPLIT_PREFER`` is read where it is None.

    Raises:
        ConfigError: a clash without a preference, or a preference that is neither.
    """
    global _prefer
    value = prefer or os.environ.get("EASYEDIT_SPLIT_PREFER") or None
    if value not in (None, "ours", "theirs"):
        raise ConfigError(f"EASYEDIT_SPLIT_PREFER is {value!r}, allowed: ours, theirs")
    _prefer = value  # type: ignore[assignment]
    watch.install()
    wrappers.install()
    repair.install()
    files.install()
    reset.install()
    scoring_hook.install()
    watch.watch(ALG_DICT, _fill_tables)
    watch.watch(GENERATORS, _require_dataset)


def unregister() -> None:
    """Take back everything that was changed in the host, and forget what was to be changed."""
    watch.uninstall()
    LEDGER.undo()
    _theirs.clear()


def touched() -> tuple[str, ...]:
    """Every name of the host that stands changed in this process."""
    return LEDGER.touched()


def names_of(method: Method) -> tuple[str, str]:
    """The two names a method is registered under."""
    return method.name, f"{method.package}/{method.name}"


def own_method(name: str) -> Method | None:
    """The method that a registered name means, or None where the name is the host's."""
    for method in methods().values():
        if name in names_of(method) and name not in _theirs:
            return method
    return None


def _fill_tables(module: ModuleType) -> None:
    hyperparams, functions = module.HYPERPARAMS_CLASS_DICT, module.METHODS_CLASS_DICT
    base = _base_fields(hyperparams)
    for method in methods().values():
        for name in names_of(method):
            ours = functions.get(name, {}).get("train") is method.train
            if ours or (name in functions and not _replaces(name)):
                continue
            classes = {
                "train": _hparams_class(method.train_fields, base, name, "Train"),
                "apply": _hparams_class(method.apply_fields, base, name, "Apply"),
            }
            LEDGER.set_item(hyperparams, name, classes, f"{module.__name__}.HYPERPARAMS_CLASS_DICT")
            entry = {"train": method.train, "apply": method.apply}
            LEDGER.set_item(functions, name, entry, f"{module.__name__}.METHODS_CLASS_DICT")


def _replaces(name: str) -> bool:
    if _prefer is None:
        raise ConfigError(
            f"EasyEdit2 has a method {name!r} of its own: choose with --prefer ours|theirs (in a script: "
            f"EASYEDIT_SPLIT_PREFER=ours|theirs), or write alg_name: easyedit_split/{name}"
        )
    if _prefer == "theirs":
        _theirs.add(name)
    return _prefer == "ours"


def _require_dataset(module: ModuleType) -> None:
    for method in methods().values():
        for name in names_of(method):
            if name not in _theirs:
                LEDGER.append(module.REQUIRED_DATASET_METHODS, name, f"{module.__name__}.REQUIRED_DATASET_METHODS")


def _base_fields(hyperparams: dict[str, Any]) -> type[Any]:
    """The host's base dataclass of hparams: what all its methods' classes share."""
    for classes in hyperparams.values():
        for cls in classes.values():
            for base in cls.__mro__:
                if base.__name__ == "HyperParams":
                    found: type[Any] = base
                    return found
    raise ConfigError("EasyEdit2's registry holds no dataclass derived from HyperParams: this clone is not supported")


def _hparams_class(fields: type[Any], base: type[Any], name: str, phase: str) -> type[Any]:
    title = "".join(part.capitalize() if part.islower() else part for part in name.replace("/", "_").split("_"))
    return dataclasses.make_dataclass(
        f"{title}{phase}HyperParams",
        [("alg_name", str, dataclasses.field(default=name))],
        bases=(fields, base),
    )
