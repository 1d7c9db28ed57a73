"""Run evaluators together with generation, where EasyEdit2's top config asks for one by name.

    log_odds:                 # in config.yaml, or +log_odds.data=psychopathy '+log_odds.m=[-2,-1,0,1,2]'
      data: psychopathy       # one of EasyEdit2's training datasets, or a file of pairs
      m: [-2, -1, 0, 1, 2]    # factors on the applied strength

Results stand beside the generated text, in ``generation_output_dir``. Evaluators of other packages come in through the
entry-point group ``easyedit_split.easyedit2_evaluators``.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from ...types import ConfigError
from .. import watch
from ..fields import plain_python
from .isolation import says_plainly, stands_alone, warn_changed
from .patches import LEDGER

logger = logging.getLogger(__name__)

MODULE = "steer.vector_appliers.vector_applier"


class Evaluator(Protocol):
    """Interface of an evaluator class of the entry-point group."""

    @classmethod
    def from_config(cls, wrapper: Any, settings: dict[str, Any], results_dir: Path) -> Evaluator:
        """Build an evaluator from the mapping under its name in the top config.

        Args:
            wrapper: EasyEdit2's model wrapper.
            settings: the mapping.
            results_dir: folder of the results.

        Raises:
            ConfigError: settings that it cannot use.
        """
        ...

    def evaluate_all(self) -> dict[str, Any]:
        """Evaluate everything applied now and write the results."""
        ...


@stands_alone("log_odds in the top config is not read")
def wrap_generate(module: ModuleType) -> None:
    """Patch ``BaseVectorApplier.generate`` to run the evaluators that its config asks for.

    Args:
        module: the host's module of ``BaseVectorApplier``.
    """
    original = module.BaseVectorApplier.generate
    label = f"{module.__name__}.BaseVectorApplier"
    LEDGER.set_attribute(module.BaseVectorApplier, "generate", _with_evaluators(original), label)


def _with_evaluators(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def generate(self: Any, *args: Any, **kwargs: Any) -> Any:
        wanted = _wanted(self)  # before generation: a wrong setting must not cost a run
        results = original(self, *args, **kwargs)
        for name, evaluator in wanted.items():
            logger.info("%s: %s", name, says_plainly(evaluator.evaluate_all)())
        return results

    return generate


@says_plainly
def _wanted(applier: Any) -> dict[str, Any]:
    try:
        asked = _asked(applier.config)
    except Exception as error:
        warn_changed("log_odds in the top config is not read", error)
        return {}
    if not asked:
        return {}
    from ..methods import evaluators, why_left_out

    found = evaluators()
    for name in asked:
        if name not in found:
            raise ConfigError(f"{name}: {why_left_out(name) or 'no such evaluator'}")
    if applier.config.get("steer_from_end_position"):
        raise ConfigError(
            f"{', '.join(asked)} scores with every position steered, and steer_from_end_position: true generates with "
            "the prompt's last token and later ones steered: set it to false"
        )
    folder = Path(str(applier.config.generation_output_dir))
    return {name: found[name].from_config(applier.model, settings, folder) for name, settings in asked.items()}


def _asked(config: Any) -> dict[str, Any]:
    """Settings of the evaluators that the top config names."""
    return {name: plain_python(config.get(name)) for name in _names() if config.get(name) is not None}


def _names() -> tuple[str, ...]:
    from importlib.metadata import entry_points

    from ..methods import EVALUATORS_GROUP

    return ("log_odds", *(point.name for point in entry_points(group=EVALUATORS_GROUP) if point.name != "log_odds"))


def install() -> None:
    """Patch the applier when EasyEdit2 imports it."""
    watch.watch(MODULE, wrap_generate)
