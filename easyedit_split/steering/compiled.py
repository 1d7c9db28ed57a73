"""Compiled models under steering: they run uncompiled, because a compiled call has no hooks but those it was made with.

    torch.compile(model), model.compile(), model.forward = torch.compile(model.forward), generate's own compiled calls

A call that was compiled before would give the bare model, one that was compiled under steering would go on steering
when it has ended. So nothing is compiled, and nothing compiled is used, until the steering ends.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

_LOCK = threading.Lock()
_ON: list[Any] = []
"""The stance that is in force and a count of who asked for it, while anybody does."""


@contextmanager
def uncompiled() -> Iterator[None]:
    """Run every call of this process as it is written while inside; several may be inside, and leave in any order."""
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    with _LOCK:
        if not _ON:
            _ON.append(torch.compiler.set_stance("force_eager"))
        _ON.append(None)


def _leave() -> None:
    with _LOCK:
        _ON.pop()
        if len(_ON) == 1:
            stance = _ON.pop()
            stance.__exit__(None, None, None)
