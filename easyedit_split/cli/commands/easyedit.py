"""``easyedit-split easyedit``, ``activate``, ``deactivate``: use the EasyEdit2 plugin from the shell."""

from __future__ import annotations

from typing import Annotated, cast

import typer

from ...easyedit import commands as bridge
from ...types import ConfigError
from ..console import out

EPILOG = "Example: easyedit-split easyedit vectors_generate.py model_name_or_path=google/gemma-2-9b-it"
ACTIVATE_EPILOG = "Example: easyedit-split activate && python vectors_generate.py"
DEACTIVATE_EPILOG = "Example: easyedit-split deactivate"
SETTINGS = {"command": {"ignore_unknown_options": True, "allow_interspersed_args": False}}

HomeOption = Annotated[
    str | None,
    typer.Option(
        "--easyedit-home", help="Folder of the EasyEdit2 clone; default: the current folder, then EASYEDIT_HOME."
    ),
]
PreferOption = Annotated[
    str | None, typer.Option(help="Package whose method is used where both have one of a name: ours or theirs.")
]


def parse_prefer(text: str | None) -> bridge.Prefer | None:
    """The package preferred by ``--prefer``: ``ours``, ``theirs`` or None.

    Args:
        text: the option's text.

    Raises:
        ConfigError: anything else.
    """
    if text not in (None, "ours", "theirs"):
        raise ConfigError(f"--prefer {text}: allowed are ours and theirs")
    return cast("bridge.Prefer | None", text)


def command(  # noqa: DOC101, DOC103
    script: Annotated[str, typer.Argument(help="An unmodified script of the clone, e.g. vectors_generate.py.")],
    arguments: Annotated[list[str] | None, typer.Argument(help="Arguments passed on to the script.")] = None,
    home: HomeOption = None,
    prefer: PreferOption = None,
) -> None:
    """Run an EasyEdit2 script with this package's methods registered; this command's own options precede SCRIPT."""
    bridge.easyedit(script, arguments or [], home=home, prefer=parse_prefer(prefer))


def activate_command(prefer: PreferOption = None) -> None:  # noqa: DOC101, DOC103
    """Make plain python vectors_generate.py work in this environment, by a start-up file that deactivate removes."""
    out.print(bridge.activate(parse_prefer(prefer)), soft_wrap=True)


def deactivate_command() -> None:
    """Remove the start-up file that activate wrote."""
    out.print(bridge.deactivate(), soft_wrap=True)
