"""Accuracy of Yes/No answers, from log-odds and from generated text.

    from preferences    share of pairs with L_n - L_p > 0, a tie counting one half (``log_odds.credit``)
    from text           the answer's first word is Yes or No, and it is the one that ``pair.positive`` says

Both ask the same question: does the model give the positive answer? Half of a balanced dataset is chance.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from ..log_odds import credit
from ..types import DataError, FloatArray, Pair
from .base import JUDGES

_REPLY = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)


def yes_or_no(text: str) -> str | None:
    """``yes`` or ``no`` if that is the text's first word, else None.

    Args:
        text: a generated answer.
    """
    match = _REPLY.match(text)
    return None if match is None else match.group(1).lower()


def accuracy_from_preferences(pref: FloatArray) -> float:
    """Accuracy from log-odds: the share of pairs whose positive answer is the likelier one, in [0, 1]; ties count half.

    Args:
        pref: ``[n]`` preference log-odds L_n - L_p, nats.

    Raises:
        DataError: no pairs, or a preference that is not a number.
    """
    if pref.size == 0:
        raise DataError("accuracy needs at least one pair; the preferences are empty")
    if np.isnan(pref).any():
        rows = ", ".join(map(str, np.flatnonzero(np.isnan(pref))[:5]))
        raise DataError(f"accuracy needs defined preferences; row {rows} is not a number: leave such pairs out first")
    return float(credit(pref).mean())


@JUDGES.register("accuracy")
class AccuracyJudge:
    """Accuracy of one generated Yes/No answer against the pair's positive answer."""

    name: ClassVar[str] = "accuracy"

    def judge(self, prompt: str, answer: str, pair: Pair) -> Mapping[str, float]:
        """Score an answer.

        Args:
            prompt: what was asked (not needed here).
            answer: the generated text.
            pair: its ``positive`` is the right answer.

        Returns:
            ``accuracy`` (1 right, 0 wrong or no Yes/No answer) and ``answered`` (1 if it begins with Yes or No).

        Raises:
            DataError: the pair is not a Yes/No pair.
        """
        right = yes_or_no(pair.positive)
        if right is None or yes_or_no(pair.negative) in (None, right):
            raise DataError(
                f"accuracy judges pairs that answer Yes and No; got {pair.positive!r} and {pair.negative!r}"
            )
        given = yes_or_no(answer)
        return {"accuracy": float(given == right), "answered": float(given is not None)}
