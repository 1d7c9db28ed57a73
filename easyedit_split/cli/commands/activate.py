"""``easyedit-split activate``: register this package's methods in EasyEdit2 at every start of Python."""

from __future__ import annotations

from ...easyedit import commands as bridge
from ..console import out
from .easyedit import PreferOption, parse_prefer

EPILOG = "Example: easyedit-split activate && python vectors_generate.py"


def command(prefer: PreferOption = None) -> None:  # noqa: DOC101, DOC103
    """Make plain python vectors_generate.py work in this environment: one start-up line, undone by deactivate."""
    out.print(bridge.activate(parse_prefer(prefer)), soft_wrap=True)
