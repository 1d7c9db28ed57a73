"""Ctrl-C, and SIGTERM as clusters send it, say at once what is kept and how to go on, whatever the process is doing.

A thread is woken by the signal itself, so the sentence comes also while Python waits for a long call. A program that is
starting ends at once; a command has ``GRACE`` seconds to end, training until its step is done and saved. A second one
ends everything: results appear whole or not at all, so nothing is left half-written. Standard library only, because
every command waits for this file.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

CODE = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE = 1.0
"""Seconds that a command has to end."""
NOTHING = "interrupted: nothing was written"


class _State:
    """What the process would keep if it was stopped now."""

    def __init__(self) -> None:
        self.starting = False
        self.orderly = False
        self.told = False
        self.count = 0
        self.kept: list[Callable[[], str]] = []


_state = _State()
_lock = threading.RLock()


def begin() -> None:
    """Start anew: nothing is kept yet, and nothing was said."""
    _state.orderly = _state.told = False
    _state.count = 0
    _state.kept.clear()


def install() -> None:
    """Watch for both signals from now on; the program is starting."""
    begin()
    _state.starting = True
    if threading.current_thread() is not threading.main_thread():
        return
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    signal.set_wakeup_fd(ours.fileno(), warn_on_full_buffer=False)
    for number in SIGNALS:
        signal.signal(number, _stop)
    threading.Thread(target=_watch, args=(ours, theirs), name="interrupts", daemon=True).start()


def started() -> None:
    """The program has started: from now on a command is at work."""
    _state.starting = False


def _stop(number: int, frame: object) -> None:
    if _state.starting:  # nothing is under way, and an import would print where it was
        tell()
        os._exit(CODE)
    raise KeyboardInterrupt


def _watch(ours: socket.socket, theirs: socket.socket) -> None:
    while data := theirs.recv(1):
        if data[0] not in SIGNALS:
            continue
        _state.count += 1
        tell()
        if _state.starting or _state.count > 1:
            os._exit(CODE)
        if not _state.orderly:
            timer = threading.Timer(GRACE, os._exit, [CODE])
            timer.daemon = True
            timer.start()


def stops_orderly() -> bool:
    """Whether a run is under way that stops by itself when asked."""
    return _state.orderly


def tell() -> None:
    """Say what is kept and how to go on, once; who comes second waits until it is said."""
    with _lock:
        if _state.told:
            return
        _state.told = True
        try:
            sentence = _state.kept[-1]() if _state.kept else NOTHING
        except Exception:
            sentence = "interrupted"
        with suppress(OSError, ValueError):
            sys.stderr.write(f"{sentence}\n")
            sys.stderr.flush()


def leave() -> None:
    """End the process now: its own end would take seconds once torch is loaded, and nothing is left to be done."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(CODE)


@contextmanager
def keeping(sentence: Callable[[], str]) -> Iterator[None]:
    """While a run is under way that could be resumed.

    Args:
        sentence: says what is kept and how to go on.
    """
    _state.kept.append(sentence)
    try:
        yield
    except KeyboardInterrupt:
        tell()
        raise
    finally:
        _state.kept.pop()


@contextmanager
def orderly() -> Iterator[Callable[[], bool]]:
    """While a run stops by itself when asked: the first signal asks, a second one stops it where it is.

    Yields:
        Whether it was asked to stop.
    """
    asked = threading.Event()

    def ask(number: int, frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = {number: signal.signal(number, ask) for number in SIGNALS}
    _state.orderly = True
    try:
        yield asked.is_set
    finally:
        _state.orderly = False
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
