"""Register this package's methods in EasyEdit2's registry: three tables of the running process, no file.

    steer.utils.alg_dict.HYPERPARAMS_CLASS_DICT[name] = {"train": dataclass, "apply": dataclass}
    steer.utils.alg_dict.METHODS_CLASS_DICT[name]     = {"train": function, "apply": function}
    steer.vector_generators.vector_generators.REQUIRED_DATASET_METHODS += [name]   (else it trains on no data)

A name that the host has is never overwritten: it is said once, and a YAML file that asks for it is an error until
``prefer`` decides. ``<package>/<name>`` is registered beside every name and never clashes. Each patch and each method
stands alone (``isolation``). Registering twice changes nothing; ``unregister`` restores.
"""

from __future__ import annotations

import dataclasses
import logging
import os
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Literal

from ...types import ConfigError
from .. import watch
from ..methods import Method, methods
from . import evaluator, files, repair, reset, scoring_hook, wrappers
from .isolation import host_commit, stands_alone, warn_changed
from .names import ALG_DICT, leave_to_host, names_of, own_names, take_names_back
from .patches import LEDGER
from .said import show_lines

logger = logging.getLogger(__name__)

Prefer = Literal["ours", "theirs"]
GENERATORS = "steer.vector_generators.vector_generators"

_prefer: Prefer | None = None


def register(prefer: Prefer | None = None) -> None:
    """Register every method now, or when EasyEdit2 is imported.

    Args:
        prefer: on a clash of names, ``ours`` replaces the host's method (until ``unregister``), ``theirs`` keeps it and
            leaves ours under ``easyedit_split/NAME``; None is what was said before, else ``EASYEDIT_SPLIT_PREFER``,
            else a YAML file that asks for the name is an error.

    Raises:
        ConfigError: a preference that is neither.
    """
    global _prefer
    value = prefer or _prefer or os.environ.get("EASYEDIT_SPLIT_PREFER") or None
    if value not in (None, "ours", "theirs"):
        source = "prefer" if prefer else "EASYEDIT_SPLIT_PREFER"
        raise ConfigError(f"{source} is {value!r}, allowed: ours, theirs")
    _prefer = value  # type: ignore[assignment]
    _install()


def arrive() -> None:
    """Register because EasyEdit2 is being imported: a wrong ``EASYEDIT_SPLIT_PREFER`` is said, and nothing stops."""
    show_lines()
    lacking = [name for name in ("hydra", "omegaconf") if find_spec(name) is None]
    if lacking:
        logger.warning("EasyEdit2 needs %s: pip install easyedit-split[easyedit]", " and ".join(lacking))
    try:
        register()
    except ConfigError as error:
        logger.warning("%s; until then no preference holds", error)
        _install()


def _install() -> None:
    watch.install()
    wrappers.install()
    repair.install()
    files.install()
    reset.install()
    scoring_hook.install()
    evaluator.install()
    watch.watch(ALG_DICT, _fill_tables)
    watch.watch(GENERATORS, _require_dataset)


def unregister() -> None:
    """Undo every change to EasyEdit2, cancel pending ones and forget the preference."""
    global _prefer
    _prefer = None
    watch.uninstall()
    LEDGER.undo()
    take_names_back()


def touched() -> tuple[str, ...]:
    """Names of everything in EasyEdit2 that is currently patched in this process."""
    return LEDGER.touched()


@stands_alone("no method of this package is registered")
def _fill_tables(module: ModuleType) -> None:
    base, _ = files.base_fields(module.HYPERPARAMS_CLASS_DICT), module.METHODS_CLASS_DICT
    for method in methods().values():
        before = LEDGER.length
        try:
            _fill_in(method, module, base)
        except Exception as error:
            LEDGER.undo(down_to=before)
            warn_changed(f"method {method.name} of {method.package} is not registered", error)


def _fill_in(method: Method, module: ModuleType, base: type[Any]) -> None:
    hyperparams, functions = module.HYPERPARAMS_CLASS_DICT, module.METHODS_CLASS_DICT
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
    if _prefer == "ours":
        return True
    leave_to_host(name, chosen=_prefer == "theirs")
    if _prefer is None:
        logger.warning(
            "EasyEdit2 %s has a method %r of its own: ours is easyedit_split/%s; --prefer ours|theirs decides what %r "
            "alone means (in a script: EASYEDIT_SPLIT_PREFER)", host_commit(), name, name, name,
        )  # fmt: skip
    return False


@stands_alone("this package's methods are given no dataset")
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
