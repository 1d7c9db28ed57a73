"""An entry that is registered for a while, as the deliberately wrong ones are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

from easyedit_split.registry import Registry
from easyedit_split.types import SteeringError

T = TypeVar("T")
CAUGHT = (
    pytest.fail.Exception,
    AssertionError,
    AttributeError,
    KeyError,
    RuntimeError,
    SteeringError,
    TypeError,
    ValueError,
)
"""What a check that finds something raises."""


@contextmanager
def registered(registry: Registry[T], name: str, entry: T) -> Iterator[str]:
    """``entry`` under ``name`` while inside."""
    assert name not in registry
    registry.register(name)(entry)
    try:
        yield name
    finally:
        del registry._entries[name]


@contextmanager
def caught() -> Iterator[None]:
    """The check inside must fail: on the wrong entry it is given it would else be a check of nothing."""
    with pytest.raises(CAUGHT):
        yield
