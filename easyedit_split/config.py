"""Strict configuration: frozen dataclasses built from plain mappings; an unknown key or a wrong type is an error.

``build(cls, mapping, where)`` is the one door. An unknown key raises and names the nearest known one; a value of the
wrong type raises and says what was allowed; ranges are checked by each class in ``__post_init__``. ``45`` is accepted
where a float is wanted, ``"2:20:10"`` (start:stop:count, both ends included) where a tuple of floats is.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import numpy as np

from .files.reading import shown
from .registry import nearest
from .types import ConfigError

C = TypeVar("C")
MOST_POINTS = 100_000


def parse_grid(text: str, where: str = "grid") -> tuple[float, ...]:
    """Parse a grid of strengths m: ``"start:stop:count"`` with both ends included, or numbers separated by commas.

    Numbers separated by commas stay as they are written. An even grid through zero holds exactly 0.0: no 1e-16 takes
    m = 0's place. Its other inner points are rounded to what their distance can tell apart (0.6, not
    0.6000000000000001).

    Args:
        text: the grid, e.g. ``-20:20:41`` or ``-4,0,4``.
        where: what the text is called in error messages, e.g. an option or a key.

    Returns:
        The values of m, in the order written.

    Raises:
        ConfigError: not of that form, not finite, or of more than ``MOST_POINTS`` points.
    """
    try:
        values = _even_grid(text, where) if ":" in text else [float(part) for part in text.split(",")]
        if not all(map(math.isfinite, values)):
            raise ValueError
    except ValueError:
        raise ConfigError(
            f"{where}: {shown(text)} is not a grid; write start:stop:count (both ends included, e.g. -20:20:41) "
            "or numbers with commas between (e.g. -4,0,4)"
        ) from None
    return tuple(v + 0.0 for v in values)  # -0.0 becomes 0.0


def _even_grid(text: str, where: str) -> list[float]:
    start, stop, count = text.split(":")
    low, high, number = float(start), float(stop), int(count)
    if not math.isfinite(high - low) or number < 1 or (number == 1 and low != high):
        raise ValueError
    if number > MOST_POINTS:
        raise ConfigError(
            f"{where}: {shown(text)} asks for {number} points; allowed are up to {MOST_POINTS}: write fewer"
        )
    if number == 1 or low == high:
        return [low] * number
    inner = (np.linspace(low, high, number) - np.linspace(-high, -low, number)[::-1])[1:-1] / 2
    places = 13 - math.floor(math.log10(max(abs(low), abs(high))))
    return [low, *(round(float(v), places) for v in inner), high]


def _check(value: Any, kind: Any, where: str) -> Any:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _check_union(value, args, where)
    if origin is Literal:
        if value in args and type(value) in {type(arg) for arg in args}:
            return value
        hint = nearest(str(value), tuple(str(a) for a in args))
        raise ConfigError(f"{where}: {shown(value)} is not allowed{hint}")
    if origin is tuple:
        return _check_tuple(value, args[0], where)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where}: {shown(value)} is a {type(value).__name__}, wanted a mapping of settings")
        return dict(value)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return value if isinstance(value, kind) else build(kind, value, where)
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise ConfigError(f"{where}: {shown(value)} is not a finite number")
        return float(value)
    if kind is float and isinstance(value, str):  # as PyYAML reads 1e-4
        try:
            return _check(float(value), float, where)
        except ValueError:
            pass
    if isinstance(kind, type) and isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    name = getattr(kind, "__name__", str(kind))
    raise ConfigError(f"{where}: {shown(value)} is a {type(value).__name__}, wanted {name}")


def _check_union(value: Any, args: tuple[Any, ...], where: str) -> Any:
    if value is None and type(None) in args:
        return None
    problem: ConfigError | None = None
    for arg in args:
        if arg is type(None):
            continue
        try:
            return _check(value, arg, where)
        except ConfigError as error:
            problem = error
    raise problem or ConfigError(f"{where}: {shown(value)} is not allowed")


def _check_tuple(value: Any, item: Any, where: str) -> tuple[Any, ...]:
    if item is float and isinstance(value, str):
        return parse_grid(value, where)
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{where}: {shown(value)} is a {type(value).__name__}, wanted a list")
    return tuple(_check(v, item, f"{where}[{i}]") for i, v in enumerate(value))


def _fields(cls: type[Any]) -> dict[str, dataclasses.Field[Any]]:
    return {f.name: f for f in dataclasses.fields(cls)}


def check_keys(cls: type[Any], mapping: Any, where: str) -> dict[str, Any]:
    """Check each value of ``mapping`` against the type of the field of ``cls`` with the same name; keys may be missing.

    Args:
        cls: the frozen dataclass that the settings are for.
        mapping: settings by field name, or None for none.
        where: what the mapping is called in error messages, e.g. a file and section.

    Returns:
        The checked values; an integer where a float is wanted has become one.

    Raises:
        ConfigError: unknown key, wrong type or value.
    """
    if mapping is None:
        return {}
    if not isinstance(mapping, Mapping):
        raise ConfigError(f"{where}: {shown(mapping)} is a {type(mapping).__name__}, wanted a mapping of settings")
    names = tuple(_fields(cls))
    for key in mapping:
        if key not in names:
            raise ConfigError(f"{where}: unknown key {shown(key)}{nearest(str(key), names)}")
    hints = typing.get_type_hints(cls)
    return {key: _check(value, hints[key], f"{where}.{key}") for key, value in mapping.items()}


def build(cls: type[C], mapping: Any, where: str) -> C:
    """Build the frozen dataclass ``cls`` from ``mapping``.

    Args:
        cls: the frozen dataclass to build.
        mapping: a mapping of settings, or None for none; anything else is an error.
        where: what the mapping is called in error messages, e.g. a file and section.

    Raises:
        ConfigError: unknown key, missing key, wrong type or value.
    """
    values = check_keys(cls, mapping, where)
    missing = [
        name
        for name, f in _fields(cls).items()
        if name not in values and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"{where}: {', '.join(missing)} missing")
    try:
        return cls(**values)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def require(condition: bool, message: str) -> None:
    """Raise ``ConfigError(message)`` unless ``condition`` holds.

    Args:
        condition: what must hold.
        message: the whole sentence of the error.

    Raises:
        ConfigError: ``condition`` is false.
    """
    if not condition:
        raise ConfigError(message)


@dataclasses.dataclass(frozen=True, slots=True)
class TokenConfig:
    """Settings for the tokenisation of answer pairs.

    Attributes:
        chat_template: ``auto`` uses the tokenizer's template where it has one; ``on`` insists; ``off`` never.
        system: a system prompt, folded into the user's turn where the template has no system role.
        score_end: score the end-of-turn (or end-of-text) token as part of the answer.
        max_length: longest row allowed, in tokens.
        template: arguments of the chat template, e.g. ``{"enable_thinking": False}``; one that it does not read is an
            error.
        think: leave thoughts open where the model writes; True by default where ``template`` sets ``enable_thinking``
            or ``thinking`` to true. Answers that are scored stand behind closed thoughts always.
        style: how prompts are written: ``own``, or as EasyEdit2 writes them (``text.easyedit2_prompts``).
        too_long: a row of more than ``max_length`` tokens is an error (``refuse``), or its answers are cut at the end
            and it is named (``cut``).
        strip_space: strip one leading space of an answer under a chat template.
        special_tokens: text that spells a special token is an error (``refuse``), its characters (``plain``, in answers
            and without a chat template), or the token (``read``, for prompts that are already rendered).
    """

    chat_template: Literal["auto", "on", "off"] = "auto"
    system: str | None = None
    score_end: bool = True
    max_length: int = 512
    template: dict[str, Any] = dataclasses.field(default_factory=dict)
    think: bool | None = None
    style: Literal["own", "easyedit2"] = "own"
    too_long: Literal["refuse", "cut"] = "refuse"
    strip_space: bool = True
    special_tokens: Literal["refuse", "plain", "read"] = "refuse"

    @property
    def thinks(self) -> bool:
        """Whether thoughts are left open where the model writes."""
        if self.think is not None:
            return self.think
        return any(self.template.get(name) is True for name in ("enable_thinking", "thinking"))

    def __post_init__(self) -> None:
        for key in self.template:
            require(str(key).isidentifier(), f"template.{key}: {key!r} is no name of an argument")
        require(self.max_length >= 2, f"max_length is {self.max_length}, must be at least 2")


@dataclasses.dataclass(frozen=True, slots=True)
class TrainConfig:
    """Settings of a training run (optimiser, batches, strengths); defaults are the most common in the paper's runs.

    Attributes:
        epochs: passes over the training pairs.
        batch_size: pairs per forward pass.
        gradient_accumulation_steps: batches per optimiser step.
        lr: peak learning rate of AdamW; it falls linearly to zero over the exact number of optimiser steps.
        unit: of lr and steering_factors. ``m``: as they stand. ``r``: natural units, for a model that nobody tuned: lr
            is how far all steps of the run together can carry |dh| / |h| at m = 1, and AdamW's own follows from one
            step on trial (``training.natural_lr``); a factor is the |m dh| / |h| to train at if they carry it to 1.
        weight_decay: decoupled weight decay of AdamW.
        warmup_steps: optimiser steps of linear warm-up at the start of the schedule.
        max_grad_norm: the gradient's global norm is clipped to this.
        dropout: probability of dropout on dy, in training only.
        steering_factors: values of m to train at; one is drawn per pair and step, the same for both answers.
        directions: ``add`` trains +m; ``both`` also trains -m with the answers' roles swapped.
        seed: everything random in a run derives from it.
    """

    epochs: int = 12
    batch_size: int = 4
    gradient_accumulation_steps: int = 1
    lr: float = 0.08
    unit: Literal["m", "r"] = "m"
    weight_decay: float = 0.0
    warmup_steps: int = 0
    max_grad_norm: float = 1.0
    dropout: float = 0.1
    steering_factors: tuple[float, ...] = (1.0,)
    directions: Literal["add", "both"] = "add"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "gradient_accumulation_steps"):
            require(getattr(self, name) >= 1, f"{name} is {getattr(self, name)}, must be at least 1")
        require(self.lr > 0, f"lr is {self.lr}, must be positive")
        require(self.max_grad_norm > 0, f"max_grad_norm is {self.max_grad_norm}, must be positive")
        require(self.weight_decay >= 0, f"weight_decay is {self.weight_decay}, must not be negative")
        require(self.warmup_steps >= 0, f"warmup_steps is {self.warmup_steps}, must not be negative")
        require(0 <= self.dropout < 1, f"dropout is {self.dropout}, must be in [0, 1)")
        require(self.seed >= 0, f"seed is {self.seed}, must not be negative")
        require(len(self.steering_factors) > 0, "steering_factors is empty, name at least one m")
        bad = [m for m in self.steering_factors if m <= 0]
        require(not bad, f"steering_factors holds {shown(bad)}, must be positive (directions: both trains -m)")
