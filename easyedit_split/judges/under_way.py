"""Questions under way: several at a time, in threads that no process waits for when it ends.

``concurrent.futures`` joins its threads at the end of a process, so one that waits for a server that never answers, or
that sends a byte now and then, would keep the process for ever.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class UnderWay(Generic[Answer]):
    """Asks questions, so many at a time, in the order that they come in.

    Args:
        at_once: how many.
    """

    def __init__(self, at_once: int) -> None:
        self._waiting: queue.SimpleQueue[tuple[Future[Answer], Callable[[], Answer]] | None] = queue.SimpleQueue()
        self._at_once, self._threads = at_once, 0

    def submit(self, ask: Callable[[], Answer]) -> Future[Answer]:
        """Ask a question when there is room.

        Args:
            ask: asks it.

        Returns:
            What it will give or raise.
        """
        future: Future[Answer] = Future()
        self._waiting.put((future, ask))
        if self._threads < self._at_once:
            self._threads += 1
            threading.Thread(target=self._ask, name=f"question {self._threads}", daemon=True).start()
        return future

    def stop(self) -> None:
        """Ask no more; what is under way is left to itself."""
        while True:
            try:
                found = self._waiting.get_nowait()
            except queue.Empty:
                break
            if found is not None:
                found[0].cancel()
        for _ in range(self._threads):
            self._waiting.put(None)

    def _ask(self) -> None:
        while (found := self._waiting.get()) is not None:
            future, ask = found
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(ask())
            except BaseException as error:  # whoever waits for the answer raises it
                future.set_exception(error)
