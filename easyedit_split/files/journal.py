"""Resumable journals: an interrupted run goes on from its finished parts, and from no damaged or foreign one.

A journal is a file beside the result. Its first line is a fingerprint of everything the result depends on, each further
line one finished part; before the JSON of a line stands a checksum that covers the line and all before it:

    check_k = the first 16 hexadecimal digits of sha256(check_(k-1), JSON of line k)

so a line that was changed, lost, doubled, moved or torn ends what is read, and what followed is done again.
"""

from __future__ import annotations

import glob
import hashlib
import itertools
import json
import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from ..storage import StorageError, clear_leftovers, write_whole, writing
from .reading import listed, read_bounded

logger = logging.getLogger(__name__)
_DIGITS = 16


@runtime_checkable
class Parts(Protocol):
    """Finished parts of a long run: a journal, or what a section of one holds."""

    @property
    def records(self) -> Sequence[dict[str, Any]]:
        """What an interrupted run had finished."""
        ...

    def append(self, record: dict[str, Any]) -> None:
        """Append one finished part; it is on disk when this returns.

        Args:
            record: plain JSON values of the part.
        """
        ...


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
        lines, self._check = _whole_lines(path)
        same = bool(lines) and lines[0] == self._fingerprint
        self._others = bool(lines) and not same
        self._differing = differing(lines[0], self._fingerprint) if self._others else ()
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
            return cls(journal_of(result, rank), fingerprint)
        pattern = f".{glob.escape(result.name)}.[0-9]*.journal"
        return cls(journal_of(result), fingerprint, lambda: sorted(result.parent.glob(pattern)))

    def _of_same_run(self, path: Path) -> list[dict[str, Any]]:
        lines, _ = _whole_lines(path)
        return lines if lines and lines[0] == self._fingerprint else []

    @property
    def holds_parts(self) -> bool:
        """Whether any part is finished, so that a run that stops now can be resumed."""
        return self._begun or bool(self.records)

    def _begin(self) -> None:
        """Write the fingerprint and the parts finished before, without a half-written last line."""
        if self._others:
            old = free_name(self.path.with_name(f"{self.path.name}.old"))
            os.replace(self.path, old)
            logger.warning(
                "%s belongs to a run with other settings (%s): renamed to %s, starting over",
                self.path,
                listed(self._differing),
                old.name,
            )
            self._others = False
        text, self._check = "", ""
        for line in (self._fingerprint, *self.records):
            added, self._check = _line(line, self._check)
            text += added
        clear_leftovers(self.path)
        write_whole(self.path, lambda to: _write_text(to, text))
        self._begun = True

    def append(self, record: dict[str, Any]) -> None:
        """Append one finished part; it is on disk when this returns.

        Args:
            record: plain JSON values of the part.

        Raises:
            StorageError: the file system refuses.
        """
        with writing(self.path):
            if not self._begun:
                self._begin()
            line, check = _line(record, self._check)
            with self.path.open("ab") as file:
                before = file.tell()
                try:
                    file.write(line.encode())
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    with suppress(OSError):
                        os.truncate(self.path, before)
                    raise
            self._check = check

    def section(self, name: str) -> Parts:
        """The finished parts of one stage of a run of several, e.g. of one of its sweeps.

        Args:
            name: of the stage; everything that its parts depend on beside the run's fingerprint.
        """
        return _Section(self, name)

    def finish(self) -> None:
        """Remove the journal and its parts: the result is in place. Another run's stay."""
        paths = [*(() if self._others else (self.path,)), *(part for part in self._parts() if self._of_same_run(part))]
        for path in paths:
            with writing(path):
                path.unlink(missing_ok=True)
        clear_leftovers(self.path, ranks=True)


class _Section:
    """The parts of a journal that belong to one stage.

    Args:
        journal: of the run.
        name: of the stage.
    """

    def __init__(self, journal: Journal, name: str) -> None:
        self._journal, self._name = journal, name
        self.records = [line["part"] for line in journal.records if line["of"] == name]

    def append(self, record: dict[str, Any]) -> None:
        self._journal.append({"of": self._name, "part": record})


def journal_of(result: Path, rank: int = 0) -> Path:
    """Where the journal of a result file lies.

    Args:
        result: the file that the finished run will write.
        rank: of the process.
    """
    return result.with_name(f".{result.name}.{rank}.journal" if rank else f".{result.name}.journal")


def differing(before: Any, now: Any) -> tuple[str, ...]:
    """Names of the settings in which two fingerprints differ, e.g. ``("weights", "model.dtype")``.

    Args:
        before: of the earlier run.
        now: of this one.
    """
    if not isinstance(before, dict) or not isinstance(now, dict):
        return ("everything",)
    found: list[str] = []
    for key in dict.fromkeys((*now, *before)):
        a, b = before.get(key), now.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += [f"{key}.{name}" for name in differing(a, b)]
        elif a != b:
            found.append(str(key))
    return tuple(found)


def _line(record: dict[str, Any], previous: str) -> tuple[str, str]:
    """A line of the file, and its checksum."""
    text = json.dumps(record)
    check = _checksum(previous, text)
    return f"{check} {text}\n", check


def _checksum(previous: str, text: str) -> str:
    return hashlib.sha256(f"{previous} {text}".encode()).hexdigest()[:_DIGITS]


def free_name(path: Path) -> Path:
    """The path, or with the first number behind that is free, so that nothing earlier is written over.

    Args:
        path: where something would be renamed to.
    """
    if not path.exists():
        return path
    return next(p for number in itertools.count(2) if not (p := path.with_name(f"{path.name}.{number}")).exists())


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")


def _whole_lines(path: Path) -> tuple[list[dict[str, Any]], str]:
    """The JSON values of a file's lines up to the first that is not as it was written, and the last's checksum."""
    try:
        data = read_bounded(path, StorageError)
    except FileNotFoundError:
        return [], ""
    except StorageError as error:
        raise StorageError(f"{path} cannot be read as a journal ({error}): remove it") from error
    lines: list[dict[str, Any]] = []
    check = ""
    for line in data.decode("utf-8", errors="replace").split("\n"):
        said, _, text = line.partition(" ")
        if said != _checksum(check, text):
            break
        lines.append(json.loads(text))
        check = said
    return lines, check
