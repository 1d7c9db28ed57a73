"""Commands by name, each imported when it is asked for: what reads a table does not wait for torch."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, MutableMapping
from typing import Any

import typer
from typer.core import TyperGroup

OWN_FILE = (
    "demo",
    "train",
    "sweep",
    "fit",
    "recommend",
    "plot",
    "apply",
    "inspect",
    "activations",
    "doctor",
    "easyedit",
)
COMMANDS: dict[str, tuple[str, str, str]] = {
    **{name: (name, "command", "EPILOG") for name in OWN_FILE},
    "activate": ("easyedit", "activate", "ACTIVATE_EPILOG"),
    "deactivate": ("easyedit", "deactivate", "DEACTIVATE_EPILOG"),
}
"""Module, function and epilog of each command, in the order of the help."""


class Loading(MutableMapping[str, Any]):
    """Typer's commands by name; looking one up imports its module."""

    def __init__(self) -> None:
        self.loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self.loaded:
            self.loaded[name] = load_command(name)
        return self.loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self.loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self.loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in COMMANDS or name in self.loaded

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class Commands(TyperGroup):
    """The group of all commands, none of them imported yet.

    Args:
        **settings: typer's own.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = Loading()

    def list_commands(self, ctx: Any) -> list[str]:
        """Names, in the order of the help.

        Args:
            ctx: click's context, unused.
        """
        return list(self.commands)


def load_command(name: str) -> Any:
    """Import the module of one command and build it.

    Args:
        name: the command's name.

    Raises:
        KeyError: there is no such command.
    """
    module, function, epilog = COMMANDS[name]
    home = importlib.import_module(f".commands.{module}", __package__)
    settings = getattr(home, "SETTINGS", {}).get(function)
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    single.command(name, epilog=getattr(home, epilog), context_settings=settings)(getattr(home, function))
    return typer.main.get_command(single)
