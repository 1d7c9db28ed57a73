"""Atomic writes: a result file or folder is complete or absent, also after a kill or a power cut.

A result is written under a temporary name, brought to the disk (fsync) and moved into place. A folder that stands there
already is exchanged with the new one in one step where the system can (``renameat2`` on Linux); else it is renamed to
``.NAME.HEX.old`` first, and ``recover`` puts it back where a kill came in between. What else lies in a replaced folder
is carried over by hard links before the exchange, so that it stands in one of the two at every moment. What the file
system refuses is a ``StorageError``, one sentence with the path.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import stat
import sys
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .types import SteeringError

_HEX = 12
_ANY = rf"[0-9a-f]{{{_HEX}}}"
_AT_FDCWD, _EXCHANGE = -100, 2
_UNABLE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM)


class StorageError(SteeringError):
    """A file or folder cannot be written or read: no space, no permission, something else in its place."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the file system refuses into one sentence about ``path``.

    Args:
        path: what is being written.

    Raises:
        StorageError: an OSError, or safetensors' own error of the same meaning.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path} cannot be written ({error.strerror or error}): choose another place") from error
    except Exception as error:
        if type(error).__name__ != "SafetensorError":
            raise
        raise StorageError(f"{path} cannot be written ({error}): choose another place") from error


@contextmanager
def new_folder(folder: Path, own: Collection[str] | None = None) -> Iterator[Path]:
    """Write a folder atomically: a temporary folder replaces ``folder`` on leaving, and is removed on an exception.

    An existing ``folder`` is replaced; until the new one is in place, the old one is kept.

    Args:
        folder: where the finished folder is to stand.
        own: names that belong to what is written; everything else in an existing folder is carried over. None where the
            whole folder is.

    Yields:
        The temporary folder, to be filled.

    Raises:
        StorageError: the file system refuses.
    """
    folder = Path(os.path.abspath(folder)) if not folder.name else folder
    temporary = unused(folder)
    try:
        with writing(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            temporary.mkdir()
            yield temporary
            _settle(temporary)
            if own is not None and folder.is_dir():
                _carry_over(folder, temporary, {*own, *os.listdir(temporary)})
            _exchange(temporary, folder)
            sync(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _carry_over(folder: Path, to: Path, own: Collection[str]) -> None:
    """Hard-link everything in ``folder`` that is not ``own`` into ``to``."""
    for entry in sorted(folder.iterdir()):
        if entry.name in own:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.copytree(entry, to / entry.name, symlinks=True, copy_function=_link)
        else:
            _link(str(entry), str(to / entry.name))


def _link(source: str, to: str) -> None:
    try:
        os.link(source, to, follow_symlinks=False)
    except OSError as error:
        raise StorageError(
            f"{source} lies in a folder to be replaced and cannot be kept ({error.strerror}): move it elsewhere first"
        ) from error


def _exchange(temporary: Path, folder: Path) -> None:
    """Put ``temporary`` in the place of ``folder``; afterwards ``temporary`` is gone or holds what was there."""
    if not folder.exists() and not folder.is_symlink():
        os.rename(temporary, folder)
    elif not _exchanged_at_once(temporary, folder):
        old = _old(folder)
        os.rename(folder, old)
        try:
            os.rename(temporary, folder)
        except BaseException:
            os.rename(old, folder)
            raise
        shutil.rmtree(old, ignore_errors=True)


def _exchanged_at_once(a: Path, b: Path) -> bool:
    """Exchange two paths in one step; False where the system or file system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    if rename(_AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), _EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _UNABLE:
        return False
    raise OSError(code, os.strerror(code))


def recover(folder: Path) -> bool:
    """Put back the folder that a kill between two renames left under another name; whether there was one.

    Args:
        folder: where it belongs.

    Raises:
        StorageError: the file system refuses.
    """
    if not folder.name or folder.exists() or not folder.parent.is_dir():
        return False
    pattern = re.compile(rf"\.{re.escape(folder.name)}\.{_ANY}\.old")
    with writing(folder):
        found = [path for path in folder.parent.iterdir() if pattern.fullmatch(path.name)]
        if not found:
            return False
        os.rename(max(found, key=lambda path: path.stat().st_ctime_ns), folder)
    return True


def clear_leftovers(path: Path, ranks: bool = False) -> None:
    """Remove what killed writers of ``path`` left unfinished; only for who holds its lock.

    That is unfinished files and folders of the result itself, and of what is kept beside it under ``.NAME.journal`` or
    ``.NAME.checkpoint``. A folder that was moved aside stays, since it may be the only one that holds a user's notes.

    Args:
        path: the result.
        ranks: also of ``NAME.RANK``, which further processes of the run wrote.
    """
    whole, stem, suffix = map(re.escape, (path.name, path.stem, path.suffix))
    rank = r"(\.[0-9]+)?" if ranks else ""
    _clear(path.parent, rf"\.{stem}{rank}\.{_ANY}\.new{suffix}|\.\.{whole}\.{_ANY}\.new\.[^.]+")


def clear_all_leftovers(folder: Path, older: float = 0.0) -> None:
    """Remove what killed writers of any file in a folder left unfinished, and what they had moved aside.

    Args:
        folder: the folder, not those inside it, which holds nothing but results of this package; ``recover`` comes
            first. The caller is the only one who writes there, or says how old.
        older: only what was last written to so many seconds ago, where others may be writing.
    """
    _clear(folder, rf"\..+\.{_ANY}\.(old|new(\.[^.]+)?)", older)


def _clear(folder: Path, pattern: str, older: float = 0.0) -> None:
    with suppress(OSError):
        for left in folder.iterdir():
            if re.fullmatch(pattern, left.name) and (not older or time.time() - left.lstat().st_mtime > older):
                shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()


def unused(path: Path) -> Path:
    """An unused path for what is not finished: in the same folder and with the same suffix.

    Args:
        path: the result.
    """
    return path.with_name(f".{path.stem}.{uuid.uuid4().hex[:_HEX]}.new{path.suffix}")


def _old(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:_HEX]}.old")


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file atomically: ``write`` fills a temporary file beside ``path``, which is then moved into place.

    The temporary name keeps the suffix of ``path``, for writers that choose a format by it.

    Args:
        path: where the finished file is to stand.
        write: fills the file whose path it is given.

    Raises:
        StorageError: the file system refuses.
    """
    temporary = unused(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(temporary)
            if temporary.is_file():
                _settle_file(temporary)
            os.replace(temporary, path)
            sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def _settle(folder: Path) -> None:
    """Bring every file of a folder to the disk, with the modes of ordinary files."""
    for here, _, files in os.walk(folder):
        for name in files:
            _settle_file(Path(here, name))
        sync(Path(here))


def _settle_file(file: Path) -> None:
    """Bring a file to the disk; give one that only its owner may read the mode of an ordinary one."""
    found = file.lstat().st_mode
    if not stat.S_ISREG(found):
        return
    if stat.S_IMODE(found) & 0o177 == 0:  # as safetensors and tempfile write
        file.chmod(0o666 & ~_umask())
    with file.open("rb") as opened:
        os.fsync(opened.fileno())


def _umask() -> int:
    with suppress(OSError, ValueError, StopIteration):  # read without setting it, which other threads would see
        lines = Path("/proc/self/status").read_text("ascii", errors="replace").splitlines()
        return int(next(line for line in lines if line.startswith("Umask:")).split()[1], 8)
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def sync(folder: Path) -> None:
    """Bring a folder's entries to the disk, where its file system can.

    Args:
        folder: the folder.
    """
    try:
        opened = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno not in (*_UNABLE, errno.EBADF):
            raise
    finally:
        os.close(opened)
