"""Read the user's YAML files as EasyEdit2 does, and check every key before EasyEdit2 drops the unknown ones.

The host merges a file (flat, or with ``generate:`` and ``apply:`` sections) under the top config, keeps the fields of
the registered dataclass and drops the rest in silence; two files of one method overwrite each other. So its two
loaders are wrapped: files of our methods are checked first, and their settings are read then, not when training starts.
A file whose ``alg_name`` nobody has, which the host meets with a KeyError, is one sentence.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from ...registry import nearest
from ...strict_yaml import read_yaml
from ...types import ConfigError
from .. import watch
from ..methods import Method, why_left_out
from .isolation import says_plainly, stands_alone, warn_changed
from .names import ALG_DICT, is_ambiguous, own_method
from .patches import LEDGER

logger = logging.getLogger(__name__)

Phase = Literal["generate", "apply"]
MODULE = "steer.utils.load_hparams"
MISSPELT = "spilt"
"""EasyEdit2's own SPLIT."""
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
                raise ConfigError(f"{path}: unknown key {prefix + str(key)!r}{_nearest(str(key), names)}")
            unread.append(prefix + str(key))
    found = tuple(sorted(unread))
    if found and found not in _listed:
        _listed.add(found)
        logger.warning("%s: %s: accepted, but nothing reads them", path, ", ".join(found))


def _nearest(key: str, names: set[str]) -> str:
    """The nearest known key; all of them where none is near."""
    found = nearest(key, tuple(sorted(names)))
    return found.partition("; allowed")[0] if "did you mean" in found else found


def base_fields(hyperparams: Mapping[str, Mapping[str, type[Any]]]) -> type[Any]:
    """The fields of EasyEdit2's base dataclass of hyperparameters, shared by all its methods.

    Args:
        hyperparams: the host's ``HYPERPARAMS_CLASS_DICT``.

    Raises:
        ConfigError: none of its classes is a dataclass.
    """
    for classes in hyperparams.values():
        for cls in classes.values():
            bases = [base for base in cls.__mro__ if dataclasses.is_dataclass(base)]
            if bases:
                return bases[-1]  # ``HyperParams``, whatever it is called
    raise ConfigError("EasyEdit2's registry holds no dataclass of hyperparameters: this clone is not supported")


def _names(fields: type[Any]) -> set[str]:
    return {f.name for f in dataclasses.fields(fields)}


def check_hparams_files(paths: Sequence[str], phase: Phase, tables: ModuleType) -> dict[str, Method]:
    """Check the YAML files of one run and return those of this package's methods.

    Args:
        paths: the files of one run.
        phase: ``generate`` or ``apply``.
        tables: the host's module of its tables of methods.

    Raises:
        ConfigError: no such file, no or an unknown or ambiguous ``alg_name``, an unknown key, or two files of one
            method of ours.
    """
    names: Counter[str] = Counter()
    ours: dict[str, Method] = {}
    for path in paths:
        if not Path(path).is_file():
            beside = tuple(sorted(file.name for file in Path(path).parent.glob("*.yaml")))
            raise ConfigError(f"{path}: no such file{nearest(Path(path).name, beside) if beside else ''}")
        name = _alg_name(Path(path), phase)
        if name is None:
            continue
        check_alg_name(path, name, phase, tuple(tables.METHODS_CLASS_DICT))
        names[name] += 1
        method = own_method(name)
        if method is not None:
            check_hparams_file(Path(path), method, base_fields(tables.HYPERPARAMS_CLASS_DICT))
            ours[path] = method
    for name, count in names.items():
        if count < 2:
            continue
        message = f"{count} of the {phase} files have alg_name: {name}, and EasyEdit2 keeps the last alone"
        if own_method(name) is not None:
            raise ConfigError(f"{message}: run them one by one")
        logger.warning("%s", message)
    return ours


def check_alg_name(path: str, name: str, phase: Phase, known: Sequence[str]) -> None:
    """Raise where no method has this name, or two have; say what ``spilt`` is.

    Args:
        path: the file.
        name: its ``alg_name``; empty where it has none.
        phase: ``generate`` or ``apply``.
        known: the names in the host's tables.

    Raises:
        ConfigError: the name means no method, or it does not say which.
    """
    if not name:
        raise ConfigError(f"{path}: alg_name is missing (in the file or its {phase} section): write alg_name: SPLIT")
    if is_ambiguous(name):
        raise ConfigError(
            f"{path}: alg_name {name!r} is a method of EasyEdit2 and one of this package: choose with "
            f"--prefer ours|theirs (in a script: EASYEDIT_SPLIT_PREFER), or write alg_name: easyedit_split/{name}"
        )
    if name not in known:
        reason = why_left_out(name)
        hint = f" ({reason})" if reason else _meant(name, known)
        raise ConfigError(f"{path}: no method has alg_name {name!r}{hint}")
    if name == MISSPELT:
        logger.warning(
            "%s: alg_name: %s is EasyEdit2's own training, not this package's: write alg_name: SPLIT", path, name
        )


def _meant(name: str, known: Sequence[str]) -> str:
    """The known name that is nearest whatever the case, and never the misspelt one."""
    by_lower = {other.lower(): other for other in reversed(known) if other != MISSPELT}
    found = get_close_matches(name.lower(), by_lower, 1)
    return f"; did you mean {by_lower[found[0]]!r}?" if found else nearest(name, tuple(known))


def _alg_name(path: Path, phase: Phase) -> str | None:
    """The file's ``alg_name``, empty where it has none; None where the file cannot be read."""
    try:
        content = read_yaml(path)
    except ConfigError:
        return None  # the host's reader says what is wrong with it
    section = content.get(phase)
    value = (section if isinstance(section, dict) else {}).get("alg_name", content.get("alg_name"))
    return "" if value is None else str(value)


def _checked(original: Callable[..., Any], phase: Phase, key: str) -> Callable[..., Any]:
    @functools.wraps(original)
    @says_plainly
    def load(*args: Any, **kwargs: Any) -> Any:
        ours = _ours(args, phase, key)
        hparams = original(*args, **kwargs)
        for path, method in ours.items():
            check = method.check_train if phase == "generate" else method.check_apply
            read = hparams.get(_alg_name(Path(path), phase)) if isinstance(hparams, Mapping) else None
            if check is not None and read is not None:
                check(read, path)
        return hparams

    return load


def _ours(args: Sequence[Any], phase: Phase, key: str) -> dict[str, Method]:
    """The checked files of this package's methods; nothing where the host's call is not as it is known."""
    tables = sys.modules.get(ALG_DICT)
    if tables is None or not {"METHODS_CLASS_DICT", "HYPERPARAMS_CLASS_DICT"} <= vars(tables).keys():
        return {}  # none of ours is registered, which has been said
    try:
        paths = [str(path) for arg in args for path in (getattr(arg, key, None) or ())]
        return check_hparams_files(paths, phase, tables)
    except ConfigError:
        raise
    except Exception as error:
        warn_changed(f"keys of {phase} files are not checked", error)
        return {}


@stands_alone("keys of YAML files are not checked")
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
