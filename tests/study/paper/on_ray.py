"""A Ray of a test's own, and which processes of it live and where they listen."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LISTENING = "0A"
LOOPBACK = ("0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000")
"""127.0.0.1, alone and as an IPv6 address, and ::1, as /proc/net/tcp writes them."""


@contextmanager
def own_ray() -> Iterator[dict[str, str]]:
    """Environment of a command that starts a Ray of its own; the folder's name is short, since sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        own = {"RAY_ADDRESS": "local", "RAY_TMPDIR": folder, "HOME": folder}
        environment = {**own, "RAY_worker_niceness": "0"}  # else they wait for all else on the machine
        try:
            yield environment
        finally:
            for pid in processes(environment):
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)


def processes(environment: dict[str, str]) -> dict[int, str]:
    """What lives with the folder of ``own_ray`` in its environment: process ids and names."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"RAY_TMPDIR={environment['RAY_TMPDIR']}\0".encode() in (place / "environ").read_bytes():
                found[int(place.name)] = (place / "cmdline").read_text("utf-8").strip("\0 ")
    return found


def gone(environment: dict[str, str], seconds: float) -> bool:
    """Whether none of its processes is left in time."""
    until = time.monotonic() + seconds
    while (living := processes(environment)) and time.monotonic() < until:
        time.sleep(0.1)
    return not living


def listening(pids: list[int]) -> list[str]:
    """Addresses on which processes listen, as the kernel writes them."""
    sockets = set()
    for pid in pids:
        with suppress(OSError):
            for handle in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    sockets.add(str(handle.readlink()))
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()]
    return [line[1].split(":")[0] for line in lines if line[3] == LISTENING and f"socket:[{line[9]}]" in sockets]
