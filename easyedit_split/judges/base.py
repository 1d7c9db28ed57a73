"""Interface of judges: a class with a ``name`` and ``judge(prompt, answer, pair) -> {score name: value}``.

A judge that must learn something first, from the bare model or from training pairs, has a class method ``prepared``
that takes a ``Calibration``, and says in ``fewest`` how many pairs of a concept it needs; if it is a ``Recalls`` as
well, a study calibrates it once and keeps what it has learnt. One that asks a model elsewhere has a class method
``asking`` that takes a ``Service``, and is written ``name:MODEL``; another is made without arguments. A new judge is
one file of this folder with ``@JUDGES.register("name")``; a third party's is an entry point of the group
``easyedit_split.judges``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from torch import nn

from ..registry import Registry
from ..text.prompt_tokens import Template
from ..types import ConfigError, Pair
from .bare_reading import BareReader


@dataclass(frozen=True)
class Calibration:
    """What a judge may learn from before it judges the texts of one concept.

    Attributes:
        model: the bare model.
        template: how its tokenizer writes a prompt and its answer.
        pairs: training pairs of the concept.
        block: index of the block where the intervention acts.
        against: ``(prompt, answer)`` of other concepts.
        shared: reads texts at that block for the judges of all concepts; None where there is no other.
    """

    model: nn.Module
    template: Template
    pairs: Sequence[Pair]
    block: int
    against: Sequence[tuple[str, str]] = ()
    shared: BareReader | None = None

    @cached_property
    def reader(self) -> BareReader:
        """Reads texts at that block."""
        return self.shared or BareReader(self.model, self.template, self.block)


AXBENCH = ("concept", "instruction", "fluency")
"""The scales of AxBench, whose harmonic mean is its score."""


@dataclass(frozen=True, slots=True)
class Service:
    """Where a judge that asks a model elsewhere finds it, and what it asks.

    Attributes:
        model: name of the model there.
        url: address of its API; None for the usual one.
        scales: what answers are graded on.
        concept: what the concept is, in words; where None, the pair says it.
        cache: folder in which verdicts are kept; where None, one in the user's cache.
        at_once: questions under way at a time.
        progress: called with (verdicts done, verdicts in all).
    """

    model: str = ""
    url: str | None = None
    scales: tuple[str, ...] = AXBENCH
    concept: str | None = None
    cache: Path | None = None
    at_once: int = 8
    progress: Callable[[int, int], None] | None = None

    def __post_init__(self) -> None:
        if self.at_once < 1:
            raise ConfigError(f"{self.at_once} questions at a time are too few: give at least 1")


@runtime_checkable
class Judge(Protocol):
    """Scores one generated answer."""

    name: ClassVar[str]

    def judge(self, prompt: str, answer: str, pair: Pair) -> Mapping[str, float]:
        """Score one generated answer.

        Args:
            prompt: the query.
            answer: what the model wrote.
            pair: the two reference answers.

        Returns:
            Scores by name; NaN for one that a judge was asked for and did not give.
        """


JUDGES: Registry[type[Judge]] = Registry("judge", "easyedit_split.judges", group="easyedit_split.judges")


@runtime_checkable
class JudgesTogether(Protocol):
    """A judge that scores many answers faster together than one by one."""

    def judge_all(
        self, prompts: Sequence[str], answers: Sequence[str], pairs: Sequence[Pair] = (), cut: Sequence[bool] = ()
    ) -> list[Mapping[str, float]]:
        """Score answers together.

        Args:
            prompts: the queries, one for each answer.
            answers: what the model wrote.
            pairs: the two reference answers of each.
            cut: whether each answer is cut off where the unsteered model's is not; empty where nobody knows.
        """


@runtime_checkable
class Recalls(Protocol):
    """A judge that learns, and can be made from what another of its kind has learnt."""

    def learnt(self) -> dict[str, Any]:
        """What it has learnt, as plain JSON values; floats keep every digit there."""

    @classmethod
    def recalled(cls, calibration: Calibration, learnt: Mapping[str, Any]) -> Judge:
        """The judge that has learnt this, bit for bit.

        Args:
            calibration: that it was learnt from; nothing is computed from it.
            learnt: as ``learnt`` returned it.

        Raises:
            LookupError, TypeError, ValueError: these are no such values.
        """


def learns(judge: str) -> bool:
    """Whether a judge must be calibrated on training pairs.

    Args:
        judge: of ``JUDGES``, or ``name:MODEL``.

    Raises:
        ConfigError: no such judge.
    """
    return hasattr(_kind(judge)[0], "prepared")


def fewest_pairs(judge: str) -> int:
    """Training pairs of a concept that a judge needs, at least; 0 for one that learns nothing.

    Args:
        judge: of ``JUDGES``, or ``name:MODEL``.

    Raises:
        ConfigError: no such judge.
    """
    return int(getattr(_kind(judge)[0], "fewest", 0))


def asks(judge: str) -> bool:
    """Whether a judge asks a model elsewhere.

    Args:
        judge: of ``JUDGES``, or ``name:MODEL``.

    Raises:
        ConfigError: no such judge.
    """
    return hasattr(_kind(judge)[0], "asking")


def prepared_judge(judge: str, calibration: Calibration | None = None, service: Service | None = None) -> Judge:
    """A registered judge, ready to judge the texts of one concept.

    Args:
        judge: of ``JUDGES``; ``name:MODEL`` for one that asks a model elsewhere.
        calibration: read by judges that must learn something first; None for others.
        service: read by judges that ask a model elsewhere; the model's name comes from ``judge``.

    Raises:
        ConfigError: no such judge, or something that it needs is not installed or not given.
        DataError: too little to learn from.
    """
    kind, model = _kind(judge)
    prepare: Callable[[Calibration], Judge] | None = getattr(kind, "prepared", None)
    ask: Callable[[Service], Judge] | None = getattr(kind, "asking", None)
    if ask is not None:
        return ask(replace(service or Service(), model=model))
    if prepare is None:
        plain: Judge = kind()
        return plain
    if calibration is None:
        raise ConfigError(f"the judge {judge} learns from training pairs: give it some, or choose another judge")
    return prepare(calibration)


def scores_of(
    judge: Judge, prompts: Sequence[str], answers: Sequence[str], pairs: Sequence[Pair], cut: Sequence[bool] = ()
) -> list[Mapping[str, float]]:
    """The scores of answers, together where the judge can.

    Args:
        judge: ready to judge.
        prompts: the queries, one for each answer.
        answers: what the model wrote.
        pairs: the two reference answers of each.
        cut: whether each answer is cut off where the unsteered model's is not; empty where nobody knows.
    """
    if isinstance(judge, JudgesTogether):
        return judge.judge_all(prompts, answers, pairs, cut)
    return [judge.judge(*each) for each in zip(prompts, answers, pairs, strict=True)]


def _kind(judge: str) -> tuple[Any, str]:
    """The class of a judge, and the model that it is to ask."""
    name, colon, model = judge.partition(":")
    kind = JUDGES[name]
    if colon and not hasattr(kind, "asking"):
        raise ConfigError(f"the judge {name} asks no model: write --judge {name}")
    return kind, model
