"""The console script ``easyedit-split``: watches for Ctrl-C before anything else is imported."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from . import interrupts

    interrupts.install()
    from .main import main as run

    try:
        run()
    except SystemExit as stop:
        if stop.code == interrupts.CODE:
            interrupts.leave()
        raise
