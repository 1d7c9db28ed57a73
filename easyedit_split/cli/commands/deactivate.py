"""``easyedit-split deactivate``: undo ``activate``."""

from __future__ import annotations

from ...easyedit import commands as bridge
from ..console import out

EPILOG = "Example: easyedit-split deactivate"


def command() -> None:
    """Remove the start-up line that activate wrote."""
    out.print(bridge.deactivate(), soft_wrap=True)
