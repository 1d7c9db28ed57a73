"""Interface of judges: a class with a ``name`` and ``judge(prompt, answer, pair) -> {score name: value}``.

A judge that must learn something first, from the bare model or from training pairs, has a class method ``prepared``
that takes a ``Calibration``; another is made without arguments. A new judge is one file of this folder with
``@JUDGES.register("name")``; a third party's is an entry point of the group ``easyedit_split.judges``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from torch import nn

from ..registry import Registry
from ..text.prompt_tokens import Template
from ..types import Pair


@dataclass(frozen=True)
class Calibration:
    """What a judge may learn from before it judges the texts of one concept.

    Attributes:
        model: the bare model.
        template: how its tokenizer writes a prompt and its answer.
        pairs: training pairs of the concept.
        own: ``(prompt, text)`` as the bare model answers.
        block: index of the block where the intervention acts.
        against: ``(prompt, answer)`` of other concepts.
    """

    model: nn.Module
    template: Template
    pairs: Sequence[Pair]
    own: Sequence[tuple[str, str]]
    block: int
    against: Sequence[tuple[str, str]] = ()


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
            Scores by name.
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


def learns(name: str) -> bool:
    """Whether a registered judge must be calibrated on training pairs.

    Args:
        name: of ``JUDGES``.

    Raises:
        ConfigError: no such judge.
    """
    return hasattr(JUDGES[name], "prepared")


def prepared_judge(name: str, calibration: Calibration) -> Judge:
    """A registered judge, ready to judge the texts of one concept.

    Args:
        name: of ``JUDGES``.
        calibration: read by judges that must learn something first.

    Raises:
        ConfigError: no such judge, or something that it needs is not installed.
        DataError: too little to learn from.
    """
    kind = JUDGES[name]
    prepare: Callable[[Calibration], Judge] | None = getattr(kind, "prepared", None)
    return kind() if prepare is None else prepare(calibration)
