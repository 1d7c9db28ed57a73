"""Word overlap: the share of an answer's words that the positive answer has, and that the negative one has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from easyedit_split.types import Pair


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


class WordOverlap:
    """Judge an answer by its words."""

    name: ClassVar[str] = "word_overlap"

    def judge(self, prompt: str, answer: str, pair: Pair) -> Mapping[str, float]:
        """``overlap`` in [0, 1] and ``overlap_other``."""
        words = _words(answer)
        sides = {"overlap": pair.positive, "overlap_other": pair.negative}
        return {name: len(words & _words(text)) / max(len(words), 1) for name, text in sides.items()}
