"""Names under which this package's methods are registered in EasyEdit2, and which of them mean EasyEdit2's own.

Each method has two: ``<name>``, which the host may have too, and ``<package>/<name>``, which never clashes. What the
user left to the host (``prefer="theirs"``), or has not decided, is kept here until ``take_names_back``.
"""

from __future__ import annotations

from ..methods import Method, methods

ALG_DICT = "steer.utils.alg_dict"
"""The host's module that holds its tables of methods."""

_theirs: set[str] = set()
_ambiguous: set[str] = set()


def names_of(method: Method) -> tuple[str, str]:
    """The two names a method is registered under.

    Args:
        method: ours or a third party's.
    """
    return method.name, f"{method.package}/{method.name}"


def own_method(name: str) -> Method | None:
    """The method of this package that a registered name means, or None where the name means EasyEdit2's.

    Args:
        name: an ``alg_name``.
    """
    for method in methods().values():
        if name in names_of(method) and name not in _theirs:
            return method
    return None


def own_names() -> tuple[str, ...]:
    """Every name that currently means a method of this package."""
    return tuple(name for method in methods().values() for name in names_of(method) if name not in _theirs)


def leave_to_host(name: str, *, chosen: bool) -> None:
    """Make a name that both packages have mean EasyEdit2's method.

    Args:
        name: an ``alg_name``.
        chosen: the user said so; otherwise the name is ambiguous, and using it an error.
    """
    _theirs.add(name)
    if not chosen:
        _ambiguous.add(name)


def is_ambiguous(name: str) -> bool:
    """Whether both packages have a method of this name and the user has not chosen.

    Args:
        name: an ``alg_name``.
    """
    return name in _ambiguous


def take_names_back() -> None:
    """Undo every ``leave_to_host``."""
    _theirs.clear()
    _ambiguous.clear()
