"""EasyEdit2's ``Evaluator`` with ``log_odds`` among its methods: refused, because it is given neither model nor pairs.

Upstream, a method that its ``Evaluator`` does not know gives ``{}`` without a word.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

from ...types import ConfigError
from .. import watch
from .isolation import says_plainly, stands_alone
from .patches import LEDGER

MODULE = "steer.evaluate.evaluate"
LOG_ODDS = "log_odds"


@stands_alone("log_odds in EasyEdit2's Evaluator is not refused, and gives nothing")
def refuse_log_odds(module: ModuleType) -> None:
    """Make ``Evaluator(eval_methods=['log_odds'])`` an error that says what to write instead.

    Args:
        module: the host's module of ``Evaluator``.
    """
    LEDGER.set_attribute(
        module.Evaluator, "__init__", _refusing(module.Evaluator.__init__), f"{module.__name__}.Evaluator"
    )


def _refusing(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        _check(kwargs.get("eval_methods"))
        original(self, *args, **kwargs)

    return __init__


@says_plainly
def _check(asked: Any) -> None:
    names = [asked] if isinstance(asked, str) else [name for name in asked or () if isinstance(name, str)]
    if any(LOG_ODDS in name.lower() for name in names):
        raise ConfigError(
            "eval_methods holds log_odds, but EasyEdit2's Evaluator sees texts alone, and log-odds need the model and "
            "both answers: run vectors_apply.py with '+log_odds={data: NAME}', or use "
            "easyedit_split.easyedit.LogOddsEvaluator(wrapper, rows)"
        )


def install() -> None:
    """Patch the evaluator when EasyEdit2 imports it."""
    watch.watch(MODULE, refuse_log_odds)
