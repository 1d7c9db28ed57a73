"""``easyedit-split easyedit``: run an EasyEdit2 script with this package's methods registered."""

from __future__ import annotations

from typing import Annotated, cast

import typer

from ...easyedit import commands as bridge
from ...types import ConfigError

EPILOG = "Example: easyedit-split easyedit vectors_generate.py model_name_or_path=google/gemma-2-9b-it"
SETTINGS = {"ignore_unknown_options": True, "allow_interspersed_args": False}

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
