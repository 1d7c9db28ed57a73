"""Files and folders that appear whole or not at all, and journals that a killed run goes on from.

A result is written under a temporary name and moved into place. A journal is a file of one JSON object a line beside
the result, begun by a fingerprint of everything the result depends on; a half-written last line is forgotten.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside ``folder`` that takes its place on leaving, and vanishes on an exception.

    An existing ``folder`` is replaced; until the new one is in place, the old one is kept.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(folder)
    temporary.mkdir()
    try:
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
    """A name that nothing has, in the same folder and with the same suffix."""
    return path.with_name(f".{path.stem}.{uuid.uuid4().hex[:12]}{path.suffix}")


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then move it into place.

    The temporary name keeps the suffix of ``path``, for writers that choose a format by it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


class Journal:
    """Finished parts of a long run, one JSON object a line.

    Args:
        path: where it is kept while the run is under way.
        fingerprint: plain JSON values; a journal begun under another one is renamed to ``PATH.old`` and the run starts
            anew.

    Attributes:
        records: what an interrupted run with the same fingerprint had finished.
    """

    def __init__(self, path: Path, fingerprint: dict[str, Any]) -> None:
        self.path = path
        self._fingerprint = json.loads(json.dumps(fingerprint))
        self.records: list[dict[str, Any]] = self._read()

    @classmethod
    def beside(cls, result: Path, fingerprint: dict[str, Any]) -> Journal:
        """The journal of a result file: ``.NAME.journal`` in the same folder."""
        return cls(result.with_name(f".{result.name}.journal"), fingerprint)

    def _read(self) -> list[dict[str, Any]]:
        lines = _whole_lines(self.path)
        if lines and lines[0] == self._fingerprint:
            if len(lines) > 1:
                logger.info("going on from %d finished parts in %s", len(lines) - 1, self.path)
            self._write(lines)  # without a half-written last line
            return lines[1:]
        if lines:
            old = self.path.with_name(f"{self.path.name}.old")
            os.replace(self.path, old)
            logger.warning("%s is of a run with other settings: kept as %s, starting anew", self.path, old.name)
        self._write([self._fingerprint])
        return []

    def _write(self, lines: list[dict[str, Any]]) -> None:
        text = "".join(json.dumps(line) + "\n" for line in lines)
        write_whole(self.path, lambda to: _write_text(to, text))

    def append(self, record: dict[str, Any]) -> None:
        """Add one finished part; on disk when this returns."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def finish(self) -> None:
        """Remove the journal: the result is in place."""
        self.path.unlink(missing_ok=True)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    lines = []
    for line in path.read_text("utf-8", errors="replace").split("\n"):
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines
