"""One writer an output: a lock file beside the result, held while a command is at work.

    .NAME.lock      JSON: host, process, start of the process, command; locked with flock, its time renewed every 20 s

The kernel gives up the lock of a process that ended however it ended, so a killed run leaves nothing that must be
removed by hand. On a shared disk the same call reaches the file server (NFS since Linux 2.6.12, Lustre mounted with
flock, CephFS, GPFS). Where a file system's flock holds on one machine only or is not there at all, the renewed time
tells: a lock of another machine that was renewed within 90 s, by the file server's own clock, is one of a living run;
without flock, one of this machine's is judged by whether its process lives.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from ..storage import StorageError, writing
from .reading import cut

RENEWED = 20.0
"""Seconds between renewals of a lock's time."""
SILENT = 90.0
"""Seconds after which another machine's lock that was not renewed is a dead run's."""
_UNABLE = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL)


class OutputLock:
    """The lock of one output; the same process may hold it several times.

    Args:
        result: the file or folder that is to be written.

    Raises:
        StorageError: another process writes there, or the lock cannot be made.
    """

    _held: ClassVar[dict[Path, OutputLock]] = {}

    def __init__(self, result: Path) -> None:
        place = Path(os.path.realpath(result.parent)) / result.name
        self.path = place.with_name(f".{place.name}.lock")
        self.result = result
        self._made: list[Path] = []
        self._file: int | None = None
        self._stop = threading.Event()
        if self.path in self._held:
            return
        with writing(result):
            self._make_parents()
            try:
                self._acquire()
            except BaseException:
                self._remove_parents()
                raise
        self._held[self.path] = self
        threading.Thread(target=self._renew, name=f"lock of {place.name}", daemon=True).start()

    def _make_parents(self) -> None:
        parent = self.path.parent
        missing = [p for p in (parent, *parent.parents) if not p.exists()]
        parent.mkdir(parents=True, exist_ok=True)
        self._made = missing

    def _remove_parents(self) -> None:
        with suppress(OSError):
            for folder in self._made:
                folder.rmdir()

    def _acquire(self) -> None:
        """Open and lock the file that stands at the path, also where another process removes it in between."""
        for _ in range(100):
            opened = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                known = _flock(opened)
                if known is not False and not _same(opened, self.path):
                    os.close(opened)
                    continue
                holder = _read(opened)
                if known is False or (holder and self._alive(opened, holder, locked=known is True)):
                    raise StorageError(_refusal(self.result, self.path, holder))
                os.ftruncate(opened, 0)
                os.pwrite(opened, json.dumps(_self()).encode(), 0)
            except BaseException:
                with suppress(OSError):
                    os.close(opened)
                raise
            self._file = opened
            return
        raise StorageError(f"{self.result}: its lock {self.path.name} changes all the time: is another run starting?")

    def _alive(self, opened: int, holder: dict[str, Any], *, locked: bool) -> bool:
        """Whether the process that a lock file names may still be at work, though its lock could be taken."""
        if holder.get("where") == _where():
            return not locked and holder.get("process") != os.getpid() and _lives(holder)
        with suppress(OSError):
            renewed = os.fstat(opened).st_mtime
            os.utime(opened)  # by the file server's clock
            now = os.fstat(opened).st_mtime
            os.utime(opened, (renewed, renewed))
            return now - renewed < SILENT
        return False

    def _renew(self) -> None:
        while not self._stop.wait(RENEWED):
            with suppress(OSError, TypeError):
                os.utime(self._file)  # type: ignore[arg-type]

    def release(self) -> None:
        """Remove the lock, and the folders that were made for it and are still empty."""
        if self._held.get(self.path) is not self:
            return
        del self._held[self.path]
        self._stop.set()
        opened, self._file = self._file, None
        if opened is not None:
            with suppress(OSError):
                if _same(opened, self.path):
                    self.path.unlink()
            os.close(opened)
        self._remove_parents()


def release_all() -> None:
    """Release every lock of this process."""
    for lock in [*OutputLock._held.values()]:
        lock.release()


def _flock(opened: int) -> bool | None:
    """True: locked; False: another holds it; None: there are no such locks here."""
    try:
        import fcntl

        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        return None
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        if error.errno in _UNABLE:
            return None
        raise
    return True


def _same(opened: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(opened), path.stat())
    except OSError:
        return False


def _where() -> str:
    """This machine, since its last start, and this container: where a process number means the same process."""
    found = [socket.gethostname()]
    with suppress(OSError):
        found.append(Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip())
    with suppress(OSError):
        found.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(found)


def _started(process: int) -> str:
    """The start of a process, in the kernel's ticks; empty where that is not known."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{process}/stat").read_text("ascii", errors="replace").rpartition(")")[2].split()[19]
    return ""


def _lives(holder: dict[str, Any]) -> bool:
    process = holder.get("process")
    if not isinstance(process, int):
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass
    return holder.get("started") in ("", _started(process))


def _self() -> dict[str, Any]:
    return {
        "where": _where(),
        "host": socket.gethostname(),
        "process": os.getpid(),
        "started": _started(os.getpid()),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        "command": Path(sys.argv[0]).name if sys.argv else "",
    }


def _read(opened: int) -> dict[str, Any]:
    try:
        found = json.loads(os.pread(opened, 10_000, 0))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _refusal(result: Path, lock: Path, holder: dict[str, Any]) -> str:
    who = "another run"
    if holder:
        who = f"process {cut(str(holder.get('process')), 20)} on {cut(str(holder.get('host')), 40)}"
        who += f" (since {cut(str(holder.get('since')), 20)})"
    return f"{result}: {who} is writing it: wait for it, or choose another --out"


__all__ = ["RENEWED", "SILENT", "OutputLock", "release_all"]
