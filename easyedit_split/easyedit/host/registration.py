"""Register this package's methods in EasyEdit2's registry: three tables of the running process, no file.

    steer.utils.alg_dict.HYPERPARAMS_CLASS_DICT[name] = {"train": dataclass, "apply": dataclass}
    steer.utils.alg_dict.METHODS_CLASS_DICT[name]     = {"train": function, "apply": function}
    steer.vector_generators.vector_generators.REQUIRED_DATASET_METHODS += [name]   (else it trains on no data)

A name that the host has is never overwritten: registration stops and offers to prefer ours or theirs.
``<package>/<name>`` is registered beside every name and never clashes. Registering twice changes nothing;
``unregister`` restores.
"""

from __future__ import annotations

import dataclasses
import logging
import os
from types import ModuleType
from typing import Any, Literal

from ...types import ConfigError
from .. import watch
from ..methods import methods
from . import files, repair, reset, scoring_hook, wrappers
from .names import ALG_DICT, leave_to_host, names_of, own_names, take_names_back
from .patches import LEDGER

logger = logging.getLogger(__name__)

Prefer = Literal["ours", "theirs"]
GENERATORS = "steer.vector_generators.vector_generators"

_prefer: Prefer | None = None


def register(prefer: Prefer | None = None) -> None:
    """Register every method now, or when EasyEdit2 is imported.

    Args:
        prefer: on a clash of names, ``ours`` replaces the host's method (until ``unregister``), ``theirs`` keeps it and
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
    """Undo every change to EasyEdit2 and cancel pending ones."""
    watch.uninstall()
    LEDGER.undo()
    take_names_back()


def touched() -> tuple[str, ...]:
    """Names of everything in EasyEdit2 that is currently patched in this process."""
    return LEDGER.touched()


def _fill_tables(module: ModuleType) -> None:
    hyperparams, functions = module.HYPERPARAMS_CLASS_DICT, module.METHODS_CLASS_DICT
    base = files.base_fields(hyperparams)
    for method in methods().values():
        for name in names_of(method):
            ours = functions.get(name, {}).get("train") is method.train
            if ours or (name in functions and not _replaces(name)):
                continue
            classes = {
                "train": _hparams_class(method.all_train_fields(), base, name, "Train"),
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
        leave_to_host(name)
    return _prefer == "ours"


def _require_dataset(module: ModuleType) -> None:
    for name in own_names():
        LEDGER.append(module.REQUIRED_DATASET_METHODS, name, f"{module.__name__}.REQUIRED_DATASET_METHODS")


def _hparams_class(fields: type[Any], base: type[Any], name: str, phase: str) -> type[Any]:
    title = "".join(part.capitalize() if part.islower() else part for part in name.replace("/", "_").split("_"))
    return dataclasses.make_dataclass(
        f"{title}{phase}HyperParams",
        [("alg_name", str, dataclasses.field(default=name))],
        bases=(fields, base),
    )
