"""Read the user's YAML files as EasyEdit2 does, and check every key before EasyEdit2 drops the unknown ones.

The host merges a file (flat, or with ``generate:`` and ``apply:`` sections) under the top config, keeps the fields of
the registered dataclass and drops the rest in silence; two files of one method overwrite each other. So its two
loaders are wrapped: files of our methods are checked first, and their settings are read then, not when training starts.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from ...registry import nearest
from ...strict_yaml import read_yaml
from ...types import ConfigError
from .. import watch
from ..methods import Method
from .names import ALG_DICT, own_method
from .patches import LEDGER

logger = logging.getLogger(__name__)

Phase = Literal["generate", "apply"]
MODULE = "steer.utils.load_hparams"
LOADERS: dict[str, tuple[Phase, str]] = {
    "load_generate_vector_hparams": ("generate", "steer_train_hparam_paths"),
    "load_apply_vector_hparams": ("apply", "apply_steer_hparam_paths"),
}
_SECTIONS = ("generate", "apply")
_listed: set[tuple[str, ...]] = set()


def check_hparams_file(path: Path, method: Method, base: type[Any]) -> None:
    """Raise on an unknown key of ``path``; log once the known keys without effect.

    Args:
        path: a method's YAML file.
        method: the method that it is for.
        base: the host's own class of base fields.

    Raises:
        ConfigError: an unknown key, with the nearest known one.
    """
    content = read_yaml(path)
    shared = _names(base)
    train, apply = _names(method.all_train_fields()) | shared, _names(method.apply_fields) | shared
    allowed: list[tuple[str, dict[str, Any], set[str]]] = [
        ("", {k: v for k, v in content.items() if k not in _SECTIONS}, train | apply)
    ]
    for section, names in (("generate", train), ("apply", apply)):
        part = content.get(section)
        if part is not None and not isinstance(part, dict):
            raise ConfigError(f"{path}: {section} holds a {type(part).__name__}, wanted a mapping of settings")
        allowed.append((f"{section}.", part or {}, names))
    unread: list[str] = []
    for prefix, part, names in allowed:
        for key in part:
            if key in names:
                continue
            if key not in method.unread_keys:
                raise ConfigError(f"{path}: unknown key {prefix + str(key)!r}{nearest(str(key), tuple(sorted(names)))}")
            unread.append(prefix + str(key))
    found = tuple(sorted(unread))
    if found and found not in _listed:
        _listed.add(found)
        logger.warning("%s: %s: accepted, but nothing reads them", path, ", ".join(found))


def base_fields(hyperparams: Mapping[str, Mapping[str, type[Any]]]) -> type[Any]:
    """The fields of EasyEdit2's base dataclass of hyperparameters, shared by all its methods.

    Args:
        hyperparams: the host's ``HYPERPARAMS_CLASS_DICT``.

    Raises:
        ConfigError: none of its classes derives from ``HyperParams``.
    """
    for classes in hyperparams.values():
        for cls in classes.values():
            for base in cls.__mro__:
                if base.__name__ == "HyperParams":
                    return base
    raise ConfigError("EasyEdit2's registry holds no dataclass derived from HyperParams: this clone is not supported")


def _names(fields: type[Any]) -> set[str]:
    return {f.name for f in dataclasses.fields(fields)}


def check_hparams_files(paths: Sequence[str], phase: Phase, base: type[Any]) -> dict[str, Method]:
    """Check the YAML files of one run and return those of this package's methods.

    Args:
        paths: the files of one run.
        phase: ``generate`` or ``apply``.
        base: the host's own class of base fields.

    Raises:
        ConfigError: an unknown key, or two files of one method of ours.
    """
    names: Counter[str] = Counter()
    ours: dict[str, Method] = {}
    for path in paths:
        if not Path(path).is_file():
            continue  # the host has its own sentence for that
        content = _alg_name(Path(path), phase)
        names[content] += 1
        method = own_method(content)
        if method is not None:
            check_hparams_file(Path(path), method, base)
            ours[path] = method
    for name, count in names.items():
        if count < 2:
            continue
        message = f"{count} of the {phase} files have alg_name: {name}, and EasyEdit2 keeps the last alone"
        if own_method(name) is not None:
            raise ConfigError(f"{message}: run them one by one")
        logger.warning("%s", message)
    return ours


def _alg_name(path: Path, phase: Phase) -> str:
    try:
        content = read_yaml(path)
    except ConfigError:
        return ""  # the host's reader says what is wrong with it
    section = content.get(phase)
    return str((section if isinstance(section, dict) else {}).get("alg_name", content.get("alg_name", "")))


def _checked(original: Callable[[Any], Any], phase: Phase, key: str) -> Callable[[Any], Any]:
    @functools.wraps(original)
    def load(top_cfg: Any) -> Any:
        paths = [str(path) for path in (getattr(top_cfg, key, None) or ())]
        base = base_fields(sys.modules[ALG_DICT].HYPERPARAMS_CLASS_DICT)
        ours = check_hparams_files(paths, phase, base)
        hparams = original(top_cfg)
        for path, method in ours.items():
            check = method.check_train if phase == "generate" else method.check_apply
            if check is not None:
                check(hparams[_alg_name(Path(path), phase)], path)
        return hparams

    return load


def wrap_loaders(module: ModuleType) -> None:
    """Wrap EasyEdit2's two loaders of hyperparameters, also where ``steer.utils`` has copied them already.

    Args:
        module: the host's module that defines the loaders.
    """
    parent = sys.modules.get("steer.utils")
    for name, (phase, key) in LOADERS.items():
        original = getattr(module, name)
        wrapped = _checked(original, phase, key)
        LEDGER.set_attribute(module, name, wrapped, module.__name__)
        if parent is not None and vars(parent).get(name) is original:
            LEDGER.set_attribute(parent, name, wrapped, "steer.utils")


def install() -> None:
    """Wrap the loaders when EasyEdit2 imports them."""
    watch.watch(MODULE, wrap_loaders)
