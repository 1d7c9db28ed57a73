"""One thread at a time may steer a model: hooks belong to the model, not to the thread that put them on.

Two threads that steer one model would each get the sum of both. What they want is one batch with an m per row.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from torch import nn

from ..types import ConfigError

_LOCK = threading.Lock()
_HELD: WeakKeyDictionary[nn.Module, list[int]] = WeakKeyDictionary()
"""By block: the threads whose attachments are on, one entry for each attachment."""


@contextmanager
def steered_by_this_thread(place: nn.Module) -> Iterator[None]:
    """Hold a model for this thread while inside; the same thread may hold it several times.

    Args:
        place: a module of the model that every attachment finds, e.g. its first block.

    Raises:
        ConfigError: another thread holds it.
    """
    own = threading.get_ident()
    with _LOCK:
        held = _HELD.setdefault(place, [])
        if any(other != own for other in held):
            raise ConfigError(
                "another thread steers this model at the moment, and both would get the sum of the two: steer one "
                "batch with an m for each row, attach(model, intervention, m=torch.tensor([3.0, -3.0])), or "
                "load one model for each thread"
            )
        held.append(own)
    try:
        yield
    finally:
        with _LOCK:
            held.remove(own)
