"""Terminal output: messages, and progress bars with remaining time.

It loads with every command, so nothing heavy is imported.

The consoles print what they are given: a user's text is never read as Rich's markup or emoji codes. Colour is said by
``style=``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleDimensions
from rich.segment import Segment
from rich.text import Text

_WIDE = 100_000
"""Columns of a line that no terminal shows."""
_SHOWN = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
"""Control characters as a terminal shows them: a text from a file or model is not to steer it."""


class WholeConsole(Console):
    """A console whose lines are as long as what they say where no terminal shows them: in a pipe nothing is cut.

    On a terminal control characters of a text are shown as ``\\x1b``.
    """

    def _render_buffer(self, buffer: Iterable[Segment]) -> str:
        """What is sent to the file, after all was measured and laid out."""
        return super()._render_buffer(
            part if part.control or not self.is_terminal else part._replace(text=part.text.translate(_SHOWN))
            for part in buffer
        )

    @property
    def size(self) -> ConsoleDimensions:
        """Columns and lines."""
        known = super().size
        return known if self.is_terminal else ConsoleDimensions(_WIDE, known.height)

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size


console = WholeConsole(stderr=True, markup=False, emoji=False, highlight=False)
"""Messages and progress; results go to standard output."""
out = WholeConsole(markup=False, emoji=False, highlight=False)
EVERY = 30.0
"""Seconds between lines of progress where there is no terminal."""


def set_up_logging(verbose: bool = False) -> None:
    """Show this package's log messages on standard error.

    Args:
        verbose: also messages of level INFO.
    """
    handler: logging.Handler = _LogLines()
    if console.is_terminal:
        from rich.logging import RichHandler

        handler = RichHandler(console=console, show_time=False, show_path=False, show_level=True)
    logger = logging.getLogger("easyedit_split")
    logger.handlers = [handler]
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)
    logger.propagate = False


class _LogLines(logging.Handler):
    """Log messages where there is no terminal: a line each."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            console.print(f"{record.levelname:8} {self.format(record)}", soft_wrap=True)
        except Exception:
            self.handleError(record)


@contextmanager
def bar(label: str) -> Iterator[Any]:
    """Show a progress bar with the time left; without a terminal, print a line every half minute.

    Args:
        label: what is under way.

    Yields:
        ``advance(done, total, note="")``.
    """
    if not console.is_terminal:
        yield _lines(label)
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(label, total=None, note="")

        def advance(done: int, total: int, note: str = "") -> None:
            progress.update(task, completed=done, total=total, note=note)

        yield advance


def _lines(label: str) -> Callable[..., None]:
    """Progress as lines of text, for a log."""
    start = last = time.monotonic()

    def advance(done: int, total: int, note: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        if done == 0 or now - last < EVERY:
            return
        last, left = now, (now - start) * (total - done) / done
        said = f"{label}: {done} of {total}, {_clock(now - start)} gone, about {_clock(left)} left"
        say(f"{said}, {note}" if note else said)

    return advance


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def speak(aloud: bool) -> None:
    """Whether this process prints messages and results; of several that work together, one does.

    Args:
        aloud: whether it does.
    """
    console.quiet = out.quiet = not aloud


class ConsoleTeller:
    """Progress reporter that prints to the terminal; see ``study.steer.Teller``."""

    def say(self, text: str) -> None:
        """Print one sentence.

        Args:
            text: the sentence.
        """
        say(text)

    def bar(self, label: str) -> AbstractContextManager[Callable[..., None]]:
        """Show a progress bar.

        Args:
            label: what is under way.
        """
        return bar(label)


def say(text: str, style: str = "") -> None:
    """Print one message, on one line however long.

    Args:
        text: the message.
        style: a rich style, e.g. ``yellow``.
    """
    console.print(text, style=style, soft_wrap=True)


def say_written(what: str, path: Path) -> None:
    """Print what was written, and where.

    Args:
        what: e.g. ``figure``.
        path: the file or folder.
    """
    console.print(Text.assemble(f"{what} written to ", (str(path), "bold")), soft_wrap=True)
