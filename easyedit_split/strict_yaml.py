"""A strict YAML reader (YAML 1.2): nothing is executed, duplicate keys are errors, and ``on`` and ``010`` stay text.

| written     | YAML 1.1 reads | here, as in YAML 1.2 |
|-------------|----------------|----------------------|
| ``2:20:10``   | 8410, base 60  | the text             |
| ``010``       | 8, base 8      | the text             |
| ``on``, ``off`` | true, false    | the text             |
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from .files.reading import cut, read_bounded, require_text, shown
from .types import ConfigError

_PLAIN = {
    "bool": ("yYnNtTfF", r"yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE"),
    "int": ("-+0123456789", r"[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F]+)"),
    "float": (
        "-+.0123456789",
        r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    ),
}
"""Plain values that are not read as in YAML 1.1: the characters they can begin with, and their pattern, by type."""

_DEEPEST = 50
_ERRORS = (yaml.YAMLError, ValueError, RecursionError, OverflowError)
"""Exceptions of PyYAML: ValueError for bad UTF-8 and impossible dates, RecursionError for too deep nesting."""


class _StrictLoader(yaml.SafeLoader):
    """PyYAML's safe loader with the rules of this module."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise ConfigError(
                f"{event.start_mark.name}, line {event.start_mark.line + 1}: *{cut(str(event.anchor), 40)} repeats an "
                "earlier part: write it out (a few such lines can unfold to gigabytes)"
            )
        self.depth += 1
        if self.depth > _DEEPEST:  # what reads on takes the square of the depth
            raise ConfigError(f"{self.name}: nested deeper than {_DEEPEST} levels: no settings are")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_scalar(self, node: Any) -> Any:
        value = super().construct_scalar(node)
        require_text(value)
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, Hashable):
                raise ConfigError(f"{node.start_mark.name}, line {line}: {shown(key)} cannot be a key: write a name")
            if key in seen:
                raise ConfigError(f"{node.start_mark.name}, line {line}: key {shown(key)} appears twice: remove one")
            seen.add(key)
        return super().construct_mapping(node, deep)


def _set_resolvers() -> None:
    tags = {f"tag:yaml.org,2002:{kind}": form for kind, form in _PLAIN.items()}
    _StrictLoader.yaml_implicit_resolvers = {
        first: [known for known in forms if known[0] not in tags]
        for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    for tag, (first, form) in tags.items():
        _StrictLoader.add_implicit_resolver(tag, re.compile(f"(?:{form})$"), list(first))


_set_resolvers()


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds one mapping.

    Args:
        path: the file.

    Raises:
        ConfigError: missing file, invalid YAML, a key written twice, or something else than a mapping.
    """
    try:
        text = read_bounded(path, ConfigError).decode("utf-8-sig")
        loader = _StrictLoader(text)
        loader.name = str(path)
        data = loader.get_single_data()
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except _ERRORS as error:
        raise ConfigError(f"{path}: not readable as YAML: {cut(' '.join(str(error).split()), 160)}") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: holds a {type(data).__name__}, wanted a mapping of settings")
    return data


def read_value(text: str, where: str) -> Any:
    """Parse one YAML value: ``0.01``, ``true``, ``[10, 12]``, ``null``.

    Args:
        text: the value as it stands after ``key=`` on the command line.
        where: what the text is called in error messages.

    Raises:
        ConfigError: invalid YAML.
    """
    try:
        loader = _StrictLoader(text)
        loader.name = where
        return loader.get_single_data()
    except _ERRORS as error:
        said = cut(" ".join(str(error).split()), 160)
        raise ConfigError(f"{where}: {shown(text)} is not a YAML value: {said}") from error
