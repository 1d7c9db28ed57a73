"""Log lines of this package inside EasyEdit2's processes: on stderr with a prefix, where nobody else shows them."""

from __future__ import annotations

import logging
import sys

PACKAGE = "easyedit_split"


class _Lines(logging.Handler):
    """Writes ``easyedit-split: ...`` to stderr; silent where the process has a handler of its own, such as Hydra's."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line.

        Args:
            record: what was logged.
        """
        if not logging.getLogger().handlers:
            sys.stderr.write(f"easyedit-split: {record.getMessage()}\n")


_LINES = _Lines()


def show_lines() -> None:
    """Show this package's log lines on stderr, unless it has a handler already; a second call changes nothing."""
    package = logging.getLogger(PACKAGE)
    if not package.handlers:
        package.addHandler(_LINES)
