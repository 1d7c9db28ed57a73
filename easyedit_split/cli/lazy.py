"""Commands imported on first use, so that commands that only read tables need not load torch.

The list of all commands, in ``--help`` and in a shell's completion, imports none: what each does is read from the
docstring in its source.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from . import interrupts

FOLDER = Path(__file__).with_name("commands")
FIRST = (
    *("demo", "steer", "chat", "pairs", "train", "sweep", "fit", "recommend", "plot", "apply", "judge"),
    *("inspect", "paper", "report", "export", "import", "activations", "doctor", "easyedit", "activate", "deactivate"),
)
"""Order of the help; a command that is not named here follows by name."""


def command_names(folder: Path = FOLDER) -> tuple[str, ...]:
    """Names of all commands in the order of the help: one for each module of the folder, none of them imported.

    Args:
        folder: the folder of the commands' modules.
    """
    found = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")}
    return (*(name for name in FIRST if name in found), *sorted(found.difference(FIRST)))


COMMANDS = command_names()


class Loading(MutableMapping[str, Any]):
    """Mapping of command names to Typer commands; looking one up imports its module."""

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
    """Command group whose commands are not imported yet.

    Args:
        **settings: typer's own.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = Loading()

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of the commands, in the order of the help.

        Args:
            ctx: click's context, unused.
        """
        return list(self.commands)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help from the commands' docstrings, without importing them.

        Args:
            ctx: click's context.
            formatter: what it is written to.
        """
        with self._unloaded():
            super().format_help(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Names of the commands that begin with ``incomplete``.

        Args:
            ctx: click's context.
            incomplete: what was typed so far.
        """
        with self._unloaded():
            return super().shell_complete(ctx, incomplete)

    @contextmanager
    def _unloaded(self) -> Iterator[None]:
        loading = self.commands
        self.commands = {name: TyperCommand(name, help=description_of(name)) for name in COMMANDS}
        try:
            yield
        finally:
            self.commands = loading


class OnceEach(TyperCommand):
    """Command that refuses an option given twice where only its last value would count."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words behind the command's name.

        Args:
            ctx: click's context.
            args: the words.

        Raises:
            ConfigError: an option that takes one value is given several times, or a word is no text.
        """
        _require_text(args)
        order = self.make_parser(ctx).parse_args(list(args))[2]
        for option in dict.fromkeys(order):
            single = option.nargs == 1 and not option.multiple and not getattr(option, "is_flag", False)
            if option.param_type_name == "option" and single and order.count(option) > 1:
                from ..types import ConfigError  # it brings numpy, and --help is not to wait for that

                raise ConfigError(
                    f"{option.opts[0]} is given {order.count(option)} times, and {self.name} takes one: give it once"
                )
        return super().parse_args(ctx, args)


def _require_text(words: list[str]) -> None:
    """Raise for a word with bytes that are not UTF-8: no record that names it could be written."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            from ..types import ConfigError  # it brings numpy, and --help is not to wait for that

            raise ConfigError(f"{word!r} holds bytes that are not UTF-8: write it so, or rename the file") from None


def description_of(name: str) -> str:
    """The docstring of a command's function, read from its source without importing it.

    Args:
        name: the command's name.
    """
    for node in ast.parse((FOLDER / f"{name}.py").read_bytes()).body:
        if isinstance(node, ast.FunctionDef) and node.name == "command":
            return ast.get_docstring(node) or ""
    return ""


def load_command(name: str) -> Any:
    """Import the module of one command and build it.

    Args:
        name: the command's name.

    Raises:
        KeyError: there is no such command.
    """
    if name not in COMMANDS:
        raise KeyError(name)
    home = importlib.import_module(f".commands.{name}", __package__)
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    interrupts.started()
    single.command(name, cls=OnceEach, epilog=home.EPILOG, context_settings=getattr(home, "SETTINGS", None))(
        home.command
    )
    return typer.main.get_command(single)
