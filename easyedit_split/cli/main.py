"""Entry point of the command line ``easyedit-split``.

Bad input ends with exit code 2 and one sentence; no partly written file is left.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.text import Text

from .. import __version__
from . import console as common
from . import interrupts
from .lazy import Commands

app = typer.Typer(
    name="easyedit-split",
    cls=Commands,
    help="Steering vectors, LoRA and local weight updates as one dynamic weight update: train, score, apply.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> bool:
    if asked:
        common.out.print(f"easyedit-split {__version__}")
        raise typer.Exit
    return asked


@app.callback()
def options(  # noqa: DOC101, DOC103
    verbose: Annotated[bool, typer.Option("--verbose", help="Show more log messages.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Set up logging and the options shared by all commands."""
    common.set_up_logging(verbose)


def main() -> None:
    """Run the command ``easyedit-split``."""
    try:
        _run()
    finally:
        locks = sys.modules.get(f"{__package__.rpartition('.')[0]}.files.locks")
        if locks is not None:  # it brings numpy, and --help is not to wait for that
            locks.release_all()


def _run() -> None:
    interrupts.begin()
    try:
        app()
    except KeyboardInterrupt:
        interrupts.tell()
        sys.exit(interrupts.CODE)
    except SystemExit as stop:
        if stop.code == interrupts.CODE:
            interrupts.tell()
        raise
    except Exception as error:
        from ..files.reading import brief
        from ..types import SteeringError  # it brings numpy, and --help is not to wait for that

        if not isinstance(error, SteeringError):
            raise
        common.console.print(Text.assemble(("error: ", "red"), brief(str(error))), soft_wrap=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
