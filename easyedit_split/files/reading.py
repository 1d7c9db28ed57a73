"""Bounded reading of files from elsewhere: a file is looked at before memory is given to it.

A pipe, device or folder is refused, and so is a file beyond a limit, each in one sentence. The limits can be raised:

| variable                     | limits                             | default    |
|------------------------------|------------------------------------|------------|
| ``EASYEDIT_SPLIT_MAX_BYTES``   | the size of one file that is read whole | 1 GiB      |
| ``EASYEDIT_SPLIT_MAX_ROWS``    | the rows of one table              | 2 million  |
| ``EASYEDIT_SPLIT_MAX_COLUMNS`` | the columns of one table           | 1,000      |
| ``EASYEDIT_SPLIT_MAX_CELLS``   | rows times columns of one table    | 20 million |
"""

from __future__ import annotations

import json
import os
import stat
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..types import ConfigError, SteeringError

LIMITS = {"BYTES": 2**30, "ROWS": 2_000_000, "COLUMNS": 1_000, "CELLS": 20_000_000}
SHOWN = 80
"""Characters of a value that a message shows."""


def limit(what: str) -> int:
    """A limit: the environment's, else the default.

    Args:
        what: a key of ``LIMITS``.

    Raises:
        ConfigError: the environment's is no positive integer.
    """
    name = f"EASYEDIT_SPLIT_MAX_{what}"
    given = os.environ.get(name)
    if given is None:
        return LIMITS[what]
    if not given.isdecimal() or not 0 < len(given) < 19 or int(given) < 1:
        raise ConfigError(f"{name} is {shown(given)}, must be a positive integer")
    return int(given)


def require_within(what: str, count: int, source: object, error: type[SteeringError]) -> None:
    """Raise where a table or file is larger than its limit.

    Args:
        what: a key of ``LIMITS``.
        count: what was found.
        source: the file, for the message.
        error: what is raised.

    Raises:
        SteeringError: of that class, with the variable that raises the limit.
    """
    most = limit(what)
    if count > most:
        raise error(
            f"{source}: holds {count:,} {what.lower()}, at most {most:,} are read: "
            f"EASYEDIT_SPLIT_MAX_{what} raises the limit"
        )


def read_bounded(path: Path, error: type[SteeringError]) -> bytes:
    """The bytes of an ordinary file.

    Args:
        path: the file.
        error: what is raised.

    Raises:
        FileNotFoundError: there is none.
        SteeringError: of class ``error``: no ordinary file, too large, or not readable.
    """
    require_file(path, error)
    try:
        return path.read_bytes()
    except OSError as problem:
        raise error(f"{path}: cannot be read ({problem.strerror or problem})") from problem


def require_file(path: Path, error: type[SteeringError]) -> None:
    """Raise unless ``path`` is an ordinary file within the limit; it is not opened.

    Args:
        path: the file.
        error: what is raised.

    Raises:
        FileNotFoundError: there is none.
        SteeringError: of class ``error``: no ordinary file, too large, or not to be looked at.
    """
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(str(path)) from None
    except (OSError, ValueError) as problem:
        raise error(f"{path}: cannot be read ({getattr(problem, 'strerror', None) or problem})") from problem
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "no ordinary file (a pipe, socket or device)"
        raise error(f"{path}: is {kind}: name a file")
    require_within("BYTES", found.st_size, path, error)


def parse_json(text: str) -> Any:
    """A JSON value, read strictly: no key twice in one object, no half of a surrogate pair in a text.

    Args:
        text: the JSON.

    Raises:
        ValueError: not such JSON; a ``RecursionError`` where it is nested too deep.
    """
    found = json.loads(text, object_pairs_hook=_object)
    if "\\u" in text:  # only an escape can write half a pair
        require_text(found)
    return found


def _object(items: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(items)
    if len(found) < len(items):
        raise ValueError(f"key {shown(first_double([name for name, _ in items]))} appears twice")
    return found


def first_double(names: Iterable[Any]) -> Any:
    """The first name that appears a second time; None where none does.

    Args:
        names: hashable.
    """
    seen: set[Any] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def require_text(value: Any) -> None:
    """Raise where a text anywhere in plain JSON values holds half of a surrogate pair, which no file can store.

    Args:
        value: plain JSON values.

    Raises:
        ValueError: the text, as it can be shown.
    """
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError as error:
                half = value[error.start]
                raise ValueError(
                    f"a text holds {half!r}, half of a character in two parts: write the whole character"
                ) from None


def shown(value: Any, most: int = SHOWN) -> str:
    """A value as a message shows it: its ``repr``, cut and with what was left out counted.

    Args:
        value: anything plain; a container is walked no further than is shown.
        most: characters to show.
    """
    if isinstance(value, str | bytes):
        return cut(
            repr(value[: most + 1])[:-1] + repr(value)[0] if len(value) > most else repr(value), most, len(value)
        )
    if isinstance(value, int) and value.bit_length() > 4 * most:
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, dict | list | tuple | set | frozenset):
        return _container(value, most)
    return cut(repr(value), most)


def _container(value: Any, most: int) -> str:
    opening, closing = "[]" if isinstance(value, list) else "()" if isinstance(value, tuple) else "{}"
    parts: list[str] = []
    room = most - 2
    for item in value.items() if isinstance(value, dict) else value:
        part = f"{shown(item[0], room)}: {shown(item[1], room)}" if isinstance(value, dict) else shown(item, room)
        room -= len(part) + 2
        if room < 0:
            break
        parts.append(part)
    left = len(value) - len(parts)
    return f"{opening}{', '.join([*parts, *([f'and {left} more'] if left else [])])}{closing}"


def cut(text: str, most: int, characters: int | None = None) -> str:
    """A text of at most about ``most`` characters, with what was left out counted.

    Args:
        text: any text.
        most: characters to keep.
        characters: how many there are, where ``text`` is not all of it.
    """
    known = characters if characters is not None else len(text)
    if len(text) <= most + 2 and known <= most:
        return text
    return f"{text[:most]}... ({known:,} characters)"


def reason_of(error: BaseException, most: int = 120) -> str:
    """Another package's error as a message shows it: on one line, cut.

    Args:
        error: any exception.
        most: characters to keep.
    """
    return cut(" ".join(str(error).split()), most) or type(error).__name__


def require_unpacked(path: Path, error: type[SteeringError]) -> None:
    """Raise where an archive's parts, unpacked, are together larger than a file may be; anything else is no archive.

    Args:
        path: an ordinary file.
        error: what is raised.

    Raises:
        SteeringError: of class ``error``.
    """
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            size = sum(part.file_size for part in archive.infolist())
    except Exception:  # a damaged archive makes the reader raise anything; who reads it next says so
        return
    require_within("BYTES", size, path, error)


def brief(sentence: str, most: int = 300) -> str:
    """A sentence whose middle is left out where it is longer than any sentence should be.

    Args:
        sentence: any text.
        most: characters to keep.
    """
    if len(sentence) <= most:
        return sentence
    head, tail = most * 5 // 8, most // 4
    return f"{sentence[:head]} ... ({len(sentence) - head - tail:,} characters left out) ... {sentence[-tail:]}"


def listed(names: Iterable[object], most: int = 8, room: int = 160) -> str:
    """Names with commas between, cut with a count.

    Args:
        names: in the order to be shown.
        most: how many to show.
        room: characters for all of them.
    """
    every = [str(name) for name in names]
    kept: list[str] = []
    for name in every[:most]:
        name = cut(name, SHOWN)
        room -= len(name) + 2
        if room < 0 and kept:
            break
        kept.append(name)
    left = len(every) - len(kept)
    return ", ".join(kept) + (f" and {left} more" if left else "")
