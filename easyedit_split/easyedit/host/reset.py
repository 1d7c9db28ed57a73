"""Support for ``wrapper.reset(name)`` with this package's methods, on which EasyEdit2's own raises an error."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

from .. import watch
from .isolation import stands_alone
from .names import own_names
from .patches import LEDGER
from .wrappers import layers_of

MODULE = "steer.models.model_wrapper"


@stands_alone("reset(name) does not know this package's names")
def teach_reset(module: ModuleType) -> None:
    """Make every wrapper class that defines ``reset`` accept this package's names, in upper or lower case.

    Args:
        module: the host's module of model wrappers.
    """
    for name, cls in vars(module).items():
        if isinstance(cls, type) and issubclass(cls, module.BaseModelWrapper) and "reset" in vars(cls):
            LEDGER.set_attribute(cls, "reset", _with_ours(vars(cls)["reset"]), f"{module.__name__}.{name}")


def _with_ours(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def reset(self: Any, *args: Any, **kwargs: Any) -> Any:
        asked = [value.lower() for value in (*args, *kwargs.values()) if isinstance(value, str)]
        ours = [name for name in own_names() if name.lower() in asked]
        if not ours:
            return original(self, *args, **kwargs)
        for layer in layers_of(self):
            for name in ours:
                layer.intervention_dict.pop(name, None)
                layer.add_activations_dict.pop(name, None)
        return None

    return reset


def install() -> None:
    """Patch ``reset`` of EasyEdit2's wrappers when they are imported."""
    watch.watch(MODULE, teach_reset)
