"""Atomic writes and resumable journals: a result file is complete or absent, and an interrupted run can be resumed.

A result is written under a temporary name and moved into place. A journal is a file of one JSON object a line beside
the result, begun by a fingerprint of everything the result depends on; a half-written last line is forgotten. What the
file system refuses is a ``StorageError``, one sentence with the path.
"""

from __future__ import annotations

import glob
import json
import logging
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .types import SteeringError

logger = logging.getLogger(__name__)


class StorageError(SteeringError):
    """A file or folder cannot be written or read: no space, no permission, something else in its place."""


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path} cannot be written ({error.strerror or error}): choose another place") from error


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Write a folder atomically: a temporary folder replaces ``folder`` on leaving, and is removed on an exception.

    An existing ``folder`` is replaced; until the new one is in place, the old one is kept.

    Args:
        folder: where the finished folder is to stand.

    Yields:
        The temporary folder, to be filled.

    Raises:
        StorageError: the file system refuses.
    """
    temporary = _beside(folder)
    try:
        with _writing(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            temporary.mkdir()
            yield temporary
            _swap(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _swap(temporary: Path, folder: Path) -> None:
    if not folder.exists():
        os.rename(temporary, folder)
        return
    old = _beside(folder)
    os.rename(folder, old)
    try:
        os.rename(temporary, folder)
    except BaseException:
        os.rename(old, folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _beside(path: Path) -> Path:
    """An unused path in the same folder and with the same suffix."""
    return path.with_name(f".{path.stem}.{uuid.uuid4().hex[:12]}{path.suffix}")


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file atomically: ``write`` fills a temporary file beside ``path``, which is then moved into place.

    The temporary name keeps the suffix of ``path``, for writers that choose a format by it.

    Args:
        path: where the finished file is to stand.
        write: fills the file whose path it is given.

    Raises:
        StorageError: the file system refuses.
    """
    temporary = _beside(path)
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


class Journal:
    """A journal of the finished parts of a long run, one JSON object a line; the file is created with the first part.

    Args:
        path: where it is kept while the run is under way.
        fingerprint: plain JSON values; a journal begun under another one is renamed to ``PATH.old`` when the first part
            is written, and the run starts anew.
        parts: finds journals of other processes of the run, now or before it was interrupted: those of the same run are
            read, and removed with this one.

    Attributes:
        records: what an interrupted run with the same fingerprint had finished.

    Raises:
        StorageError: a file is there and cannot be read.
    """

    def __init__(self, path: Path, fingerprint: dict[str, Any], parts: Callable[[], Sequence[Path]] = tuple) -> None:
        self.path = path
        self._fingerprint: dict[str, Any] = json.loads(json.dumps(fingerprint))
        lines = _whole_lines(path)
        same = bool(lines) and lines[0] == self._fingerprint
        self._others = bool(lines) and not same
        self._begun = False
        self.records: list[dict[str, Any]] = lines[1:] if same else []
        self._parts = parts
        for part in parts():
            self.records += self._of_same_run(part)[1:]
        if self.records:
            logger.info("resuming from %d finished parts in %s", len(self.records), path)

    @classmethod
    def beside(cls, result: Path, fingerprint: dict[str, Any], rank: int = 0) -> Journal:
        """The journal of a result file: ``.NAME.journal`` in its folder, of further processes ``.NAME.RANK.journal``.

        Args:
            result: the file that the finished run will write.
            fingerprint: as of the class.
            rank: of the process; the first one reads and removes the others' as well.
        """
        if rank:
            return cls(result.with_name(f".{result.name}.{rank}.journal"), fingerprint)
        pattern = f".{glob.escape(result.name)}.[0-9]*.journal"
        own = result.with_name(f".{result.name}.journal")
        return cls(own, fingerprint, lambda: sorted(result.parent.glob(pattern)))

    def _of_same_run(self, path: Path) -> list[dict[str, Any]]:
        lines = _whole_lines(path)
        return lines if lines and lines[0] == self._fingerprint else []

    @property
    def holds_parts(self) -> bool:
        """Whether any part is finished, so that a run that stops now can be resumed."""
        return self._begun or bool(self.records)

    def _begin(self) -> None:
        """Write the fingerprint and the parts finished before, without a half-written last line."""
        if self._others:
            old = self.path.with_name(f"{self.path.name}.old")
            os.replace(self.path, old)
            logger.warning("%s belongs to a run with other settings: renamed to %s, starting over", self.path, old.name)
            self._others = False
        text = "".join(json.dumps(line) + "\n" for line in (self._fingerprint, *self.records))
        write_whole(self.path, lambda to: _write_text(to, text))
        self._begun = True

    def append(self, record: dict[str, Any]) -> None:
        """Append one finished part; it is on disk when this returns.

        Args:
            record: plain JSON values of the part.

        Raises:
            StorageError: the file system refuses.
        """
        with _writing(self.path):
            if not self._begun:
                self._begin()
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
                file.flush()
                os.fsync(file.fileno())

    def finish(self) -> None:
        """Remove the journal and its parts: the result is in place. Another run's stay."""
        paths = [*(() if self._others else (self.path,)), *(part for part in self._parts() if self._of_same_run(part))]
        for path in paths:
            with _writing(path):
                path.unlink(missing_ok=True)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """The JSON values of a file's lines, up to the first line that is not valid JSON; none where there is no file."""
    try:
        text = path.read_text("utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StorageError(f"{path} cannot be read ({error.strerror or error}): remove it") from error
    lines = []
    for line in text.split("\n"):
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines
