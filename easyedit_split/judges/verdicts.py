"""Verdicts of language models kept on disk by what was asked, so that no question is asked twice.

    FOLDER/ab/abcd....json      the question, and the reply word for word          ab...  sha256 of the question

A file appears whole or not at all, and holds no key and no address; one that cannot be read counts as absent. Several
processes may share a folder. Grades are read from the replies anew each time.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..files.reading import parse_json, read_bounded
from ..model.gguf import cache_folder
from ..storage import StorageError, write_whole

FOLDER = "verdicts"


class Verdicts:
    """Replies by question, in a folder.

    Args:
        folder: where they are kept; one in the user's cache where None.

    Attributes:
        folder: where they are kept.
        written: how many were added.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = cache_folder() / FOLDER if folder is None else folder
        self.written = 0
        self._lock = threading.Lock()

    def get(self, question: Mapping[str, Any]) -> str | None:
        """The reply to a question that was asked before; None for another.

        Args:
            question: plain JSON values: server, model, settings and messages.
        """
        with suppress(OSError, ValueError, RecursionError, StorageError):
            found = parse_json(read_bounded(self._path(question), StorageError).decode("utf-8"))
            if isinstance(found, dict) and isinstance(found.get("reply"), str):
                reply: str = found["reply"]
                return reply
        return None

    def put(self, question: Mapping[str, Any], reply: str) -> None:
        """Keep a reply; it is on disk when this returns.

        Args:
            question: what was asked.
            reply: what the model wrote.

        Raises:
            StorageError: the file system refuses.
        """
        said = {"model": question["model"], "messages": question["messages"], "reply": reply}
        text = json.dumps(said, ensure_ascii=True, indent=1)
        write_whole(self._path(question), lambda path: _write(path, text))
        with self._lock:
            self.written += 1

    def _path(self, question: Mapping[str, Any]) -> Path:
        digest = hashlib.sha256(json.dumps(question, ensure_ascii=True, sort_keys=True).encode()).hexdigest()
        return self.folder / digest[:2] / f"{digest}.json"


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
