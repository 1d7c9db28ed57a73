"""Unwrapping of modules that another library wraps around a model's own, registered by class name.

    register_wrapper("MLPWrapper", "mlp")     # unwrap(MLPWrapper(mlp)) is mlp, in every walk through a model

Whoever wraps models registers its wrappers once; a module whose class is not registered stands for itself. Classes are
named, not imported, so that the library that has them need not be there.
"""

from __future__ import annotations

from torch import nn

from ..types import ConfigError

_INNER: dict[str, str] = {}


def register_wrapper(class_name: str, inner: str) -> None:
    """Register a class of modules that wrap another module; registering it again changes nothing.

    Args:
        class_name: ``__name__`` of the wrapper's class.
        inner: name of the submodule that it stands around.

    Raises:
        ConfigError: the class is registered with another submodule.
    """
    known = _INNER.setdefault(class_name, inner)
    if known != inner:
        raise ConfigError(f"wrapper {class_name!r} is registered with the submodule {known!r}, and now with {inner!r}")


def unwrap(module: nn.Module) -> nn.Module:
    """The module inside registered wrappers, or the module itself where it has none.

    Args:
        module: any module; a registered wrapper that lacks its submodule stands for itself.
    """
    while True:
        inner = vars(module)["_modules"].get(_INNER.get(type(module).__name__, ""))
        if not isinstance(inner, nn.Module):
            return module
        module = inner
