"""Interface of judges: a class with a ``name`` and ``judge(prompt, answer, pair) -> {score name: value}``.

A new judge is one file of this folder with ``@JUDGES.register("name")``; a third party's is an entry point of the
group ``easyedit_split.judges``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Protocol

from ..registry import Registry
from ..types import Pair


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
