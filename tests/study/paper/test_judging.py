"""A study's judge reads each text once, however many strengths wrote it, and gives every answer its scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest

from easyedit_split import Pair
from easyedit_split.steering.generate import Generated
from easyedit_split.study.paper import judging
from easyedit_split.study.paper.answering import Answer
from easyedit_split.study.paper.bench import Bench


class Counting:
    """Scores a text by its length, and remembers what it was given."""

    name: ClassVar[str] = "counting"

    def __init__(self) -> None:
        self.read: list[tuple[str, str, bool]] = []

    def judge(self, prompt: str, answer: str, pair: Pair) -> Mapping[str, float]:
        return self.judge_all([prompt], [answer], [pair], [False])[0]

    def judge_all(
        self, prompts: Sequence[str], answers: Sequence[str], pairs: Sequence[Pair] = (), cut: Sequence[bool] = ()
    ) -> list[Mapping[str, float]]:
        self.read += zip(prompts, answers, cut, strict=True)
        return [{"overall": float(len(answer))} for answer in answers]


def answer(row: int, m: float, text: str, ended: bool = True) -> Answer:
    pair = Pair(f"question {row}?", "yes", "no")
    return Answer(pair, row, m, text, ended, Generated(0, str(pair.prompt), 0.0, "Bare."))


def test_a_text_of_several_strengths_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Counting()
    monkeypatch.setattr(judging, "_judge", lambda *_: judge)
    written = {
        "published": [answer(0, 1.0, "One."), answer(1, 1.0, "Three.")],
        "best": [answer(0, 0.5, "One."), answer(1, 0.5, "Other.")],
        "recommended": [answer(0, 0.5, "One", ended=False), answer(2, 0.5, "One.")],
    }
    found = judging.judged(object.__new__(Bench), "counting", written)
    assert [(p, t) for p, t, _ in judge.read] == [
        ("question 0?", "One."), ("question 1?", "Three."), ("question 1?", "Other."), ("question 0?", "One"),
        ("question 2?", "One."),
    ]  # fmt: skip
    every: list[Any] = [(name, a.m, a.row, a.text) for name, answers in written.items() for a in answers]
    assert list(found[["strength", "m1", "pair", "text"]].itertuples(index=False, name=None)) == every
    assert found["score_overall"].tolist() == [float(len(text)) for *_, text in every]
    assert found["cut_off"].tolist() == [False, False, False, False, True, False]
