"""YAML keys for the settings of registered forms and objectives.

Each field of a registered ``config_class`` is a key, so the settings of a form or objective of another package work in
EasyEdit2's files without an edit here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeAlias

from ..steering.forms.base import FORMS
from ..training.objectives.base import OBJECTIVES

Keys: TypeAlias = Mapping[str, tuple[str, ...]]
"""Registered name: the names of its own settings."""


def form_keys() -> Keys:
    """Names of the settings of every form."""
    return {name: _settings(FORMS[name].config_class) for name in FORMS}


def objective_keys() -> Keys:
    """Names of the settings of every objective."""
    return {name: _settings(OBJECTIVES[name].config_class) for name in OBJECTIVES}


def all_keys() -> tuple[str, ...]:
    """Names of all settings of forms and objectives, without duplicates, in alphabetical order."""
    return tuple(sorted({key for keys in (form_keys(), objective_keys()) for own in keys.values() for key in own}))


def _settings(config_class: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(config_class))
