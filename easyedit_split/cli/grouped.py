"""Options that belong together, given to a command as one record."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any


def grouped(parameter: str, record: type[Any], options: Mapping[str, Any]) -> Callable[..., Callable[..., None]]:
    """Decorator that replaces a command's parameter by the options of a record's fields.

    Args:
        parameter: its name; its default is the record of the defaults.
        record: a dataclass; its fields are named as the options.
        options: type and option of each field, as Typer takes them.
    """

    def replaced(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        before = list(signature.parameters.values())
        place = next(i for i, found in enumerate(before) if found.name == parameter)
        fields = [
            inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=options[field.name]
            )
            for field in dataclasses.fields(record)
        ]
        named = [found.replace(kind=inspect.Parameter.KEYWORD_ONLY) for found in before]
        parameters = [*named[:place], *fields, *named[place + 1 :]]

        @functools.wraps(command)
        def run(**given: Any) -> None:
            found = {field.name: given.pop(field.name) for field in dataclasses.fields(record)}
            command(**given, **{parameter: record(**found)})

        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {found.name: found.annotation for found in parameters} | {"return": None}
        return run

    return replaced
