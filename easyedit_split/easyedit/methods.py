"""Definitions of EasyEdit2 methods: a name, the fields of its YAML files, and the two functions that EasyEdit2 calls.

Ours and third parties' come in the same way, through the entry-point group ``easyedit_split.easyedit2_methods``, whose
entries name a ``Method``. Each is registered under its name and under ``<package>/<name>``.

| alg_name       | form                  | objective                                     |
|----------------|-----------------------|-----------------------------------------------|
| ``SPLIT``        | ``intervention_method`` | split                                         |
| ``local_weight`` | local_weight          | ``objective: split, sft or reps`` (default sft) |
| ``lora``         | lora                  | the same                                      |
| ``vector``       | vector                | the same                                      |
| ``DiffMean``     | vector                | diff_mean                                     |
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields, make_dataclass
from functools import lru_cache, partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from ..files.reading import reason_of
from .fields import UNREAD, ApplyFields, TrainFields
from .host.isolation import says_plainly
from .own_keys import all_keys
from .settings import apply_settings, train_settings

logger = logging.getLogger(__name__)

METHODS_GROUP = "easyedit_split.easyedit2_methods"
EVALUATORS_GROUP = "easyedit_split.easyedit2_evaluators"

_left_out: list[str] = []


@dataclass(frozen=True)
class Method:
    """Definition of one EasyEdit2 method.

    Attributes:
        name: ``alg_name`` in a YAML file.
        train: called as ``train(hparams, dataset, dataset_name=...)``; returns ``{"layer_L": ...}``.
        apply: called as ``apply(hparams, wrapper_or_None)`` or with in-memory vectors third; returns the wrapper.
        train_fields: dataclass of the keys that its ``generate`` files may hold; every field needs a default. The
            host's own base fields (model, dtype, device, seed, template) are added when it is registered.
        apply_fields: the same for its ``apply`` files.
        train_keys: called when it is registered; names further keys of its ``generate`` files, None where not given.
        check_train: called as ``check(hparams, where)`` when a ``generate`` file is read; raises ``ConfigError``.
        check_apply: the same for an ``apply`` file; None where there is nothing to check.
        unread_keys: keys that files carry though nothing reads them.
        package: who registered it.
    """

    name: str
    train: Callable[..., Any]
    apply: Callable[..., Any]
    train_fields: type[Any] = TrainFields
    apply_fields: type[Any] = ApplyFields
    train_keys: Callable[[], Iterable[str]] = tuple
    check_train: Callable[[Any, str], object] | None = None
    check_apply: Callable[[Any, str], object] | None = None
    unread_keys: tuple[str, ...] = ()
    package: str = field(default="easyedit_split", kw_only=True)

    def all_train_fields(self) -> type[Any]:
        """``train_fields``, with a field for each of ``train_keys`` that it lacks."""
        known = {own.name for own in fields(self.train_fields)}
        more = [(key, Any, field(default=None)) for key in self.train_keys() if key not in known]
        return make_dataclass(self.train_fields.__name__, more, bases=(self.train_fields,))


@dataclass(frozen=True)
class MethodChoice:
    """Form and objective that a method's name fixes; None where its YAML file chooses.

    Attributes:
        form: name of the form.
        objective: name of the objective.
    """

    form: str | None
    objective: str | None

    def check(self, hparams: Any, where: str) -> object:
        """Parse a ``generate`` file's settings, so that errors are raised when the file is read.

        Args:
            hparams: the host's, as read.
            where: what the file is called in error messages.
        """
        return train_settings(hparams, self.form, self.objective, where)


@says_plainly
def _train(hparams: Any, dataset: Any, dataset_name: str | None = None, *, choice: MethodChoice) -> Any:
    from .train import train_on_host_rows  # torch loads with the first run, not with the registration

    return train_on_host_rows(hparams, dataset, dataset_name, form=choice.form, objective=choice.objective)


@says_plainly
def _apply(hparams: Any, wrapper: Any = None, vectors: Any = None) -> Any:
    from .apply import apply_to_host_model

    return apply_to_host_model(hparams, wrapper, vectors)


def _own(name: str, form: str | None, objective: str | None) -> Method:
    choice = MethodChoice(form, objective)
    return Method(
        name=name,
        train=partial(_train, choice=choice),
        apply=_apply,
        train_keys=all_keys,
        check_train=choice.check,
        check_apply=apply_settings,
        unread_keys=UNREAD,
    )


SPLIT = _own("SPLIT", None, "split")
LOCAL_WEIGHT = _own("local_weight", "local_weight", None)
LORA = _own("lora", "lora", None)
VECTOR = _own("vector", "vector", None)
DIFF_MEAN = _own("DiffMean", "vector", "diff_mean")

BUILT_IN = (SPLIT, LOCAL_WEIGHT, LORA, VECTOR, DIFF_MEAN)
"""Known also where the package's metadata is not installed, such as a checkout on ``sys.path``."""


def methods() -> dict[str, Method]:
    """Every method by name: this package's, then those of installed packages.

    An entry point that cannot be loaded, is no ``Method`` or takes a name twice is left out and said once.
    """
    found = {method.name: method for method in BUILT_IN}
    for name, method, source in _loaded(METHODS_GROUP, "method"):
        known = found.get(name)
        if not isinstance(method, Method) or method.name != name:
            _leave_out(f"EasyEdit2 method {name!r}: entry point {name} = {source} is no Method of that name: mend it")
        elif known is not None and known is not method:
            _leave_out(f"EasyEdit2 method {name!r} comes from {known.package} and from {source}: uninstall one")
        else:
            found[name] = method
    return found


def evaluators() -> dict[str, type[Any]]:
    """Evaluator classes by name, from the entry points; what cannot be loaded is left out and said once."""
    from .evaluate import LogOddsEvaluator

    found: dict[str, type[Any]] = {"log_odds": LogOddsEvaluator}
    for name, evaluator, source in _loaded(EVALUATORS_GROUP, "evaluator"):
        if found.setdefault(name, evaluator) is not evaluator:
            _leave_out(f"EasyEdit2 evaluator {name!r} is declared twice, again by {source}: uninstall one")
    return found


def _loaded(group: str, kind: str) -> Iterator[tuple[str, Any, str]]:
    """Name, object and source of each entry point that can be loaded."""
    for point in _points(group, tuple(sys.path)):
        try:
            yield point.name, point.load(), point.value
        except Exception as error:
            _leave_out(
                f"EasyEdit2 {kind} {point.name!r} of an installed package could not be loaded ({point.value}: "
                f"{type(error).__name__}: {reason_of(error)}): mend or uninstall that package"
            )


@lru_cache(maxsize=8)
def _points(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Entry points of a group; the scan of all installed packages is done once for each ``sys.path``."""
    return tuple(sorted(entry_points(group=group), key=lambda p: (p.name, p.value)))


def _leave_out(sentence: str) -> None:
    if sentence not in _left_out:
        _left_out.append(sentence)
        logger.warning("%s", sentence)


def why_left_out(name: str) -> str | None:
    """Why an entry point of this name was left out; None where none was.

    Args:
        name: of a method or evaluator.
    """
    return next((sentence for sentence in _left_out if f"{name!r}" in sentence.split(":")[0]), None)
