"""Integration with EasyEdit2: the only part of the package that depends on it.

    import easyedit_split.easyedit        # in any order with ``import steer``: alg_name: SPLIT works from here on

Importing this registers our methods with EasyEdit2, now if it is loaded, otherwise the moment it is; until then it
costs a few standard modules. ``register(prefer=...)`` decides a clash of names, ``unregister()`` takes everything back
and ``touched()`` lists every name of the host that stands changed. No file of EasyEdit2 is ever written.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from . import watch

if TYPE_CHECKING:
    from .evaluate import LogOddsEvaluator
    from .host.registration import register, touched, unregister
    from .methods import Method

__all__ = ["LogOddsEvaluator", "Method", "register", "touched", "unregister"]

_WHERE = {
    "register": "host.registration",
    "unregister": "host.registration",
    "touched": "host.registration",
    "Method": "methods",
    "LogOddsEvaluator": "evaluate",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)


def _arrive() -> AbstractContextManager[None]:
    from .host.registration import arrive

    arrive()
    return nullcontext()


watch.install()
watch.surround("steer", _arrive)
if watch.host_is_loaded():
    _arrive()
