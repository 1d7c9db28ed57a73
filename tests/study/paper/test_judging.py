"""A study's judge reads each text once, however many strengths wrote it, and gives every answer its scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest

from easyedit_split import Pair
from easyedit_split.steering.generate import Generated
from easyedit_split.study.paper import judging
from easyedit_split.study.paper.answering import Answer
from easyedit_split.study.paper.bench import Bench
from easyedit_split.study.paper.choosing import graded_texts
from easyedit_split.study.paper.layout import JUDGED_COLUMNS
from easyedit_split.study.paper.plan import PlannedData, StudyCell, StudyPlan, runs_of
from easyedit_split.study.paper.score_entries import score_entries
from easyedit_split.sweep_table import write_table


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


def test_a_grade_that_cannot_be_read_leaves_out_its_prompt_and_that_is_said() -> None:
    rows = [
        {"m1": m, "concept": "", "pair": pair, "prompt": "Q?", "score_overall": m + pair}
        for m in (0.0, 1.0)
        for pair in (3, 4)
    ]
    whole = pd.DataFrame(rows)
    texts, said = graded_texts(whole, "judged")
    assert texts is not None
    assert (texts.overall.tolist(), said) == ([[3.0, 4.0], [4.0, 5.0]], "")
    whole.loc[3, "score_overall"] = float("nan")
    texts, said = graded_texts(whole, "judged")
    assert texts is not None, "the others still choose"
    assert texts.overall.tolist() == [[3.0, 4.0]]
    assert "1 of 2 dev prompts lack a readable grade" in said
    texts, said = graded_texts(whole.assign(score_overall=float("nan")), "judged")
    assert texts is None
    assert "the pairs alone chose" in said
    assert graded_texts(whole.drop(columns="score_overall"), "judged") == (None, ""), "control: no such score"


@pytest.mark.parametrize("unread", [0, 1, 3])
def test_a_table_says_how_many_answers_have_no_grade(unread: int, tmp_path: Path) -> None:
    data = PlannedData("mine.csv", "mine", ("openai:g",), ("concept", "overall"))
    plan = StudyPlan(("a-model",), (data,), (StudyCell("", "vanilla", seeded=False),))
    (run,) = runs_of(tmp_path, plan)
    run.paths.folder.mkdir(parents=True)
    known = dict(zip(JUDGED_COLUMNS, ("openai:g", "baseline", 0.0, "", 7, "Q?", "yes", False), strict=True))
    grades = [float("nan") if k < unread else 1.0 for k in range(3)]
    rows = [{**known, "pair": k, "score_concept": 2.0, "score_overall": grade} for k, grade in enumerate(grades)]
    write_table(pd.DataFrame(rows), run.paths.judged)
    notes = score_entries(tmp_path, plan).notes
    if unread == 1:
        assert notes == (f"{run.name}: 1 of 3 answers have no readable overall and count nowhere",)
    else:
        assert notes == (), "control: all are read, or the judge gives no such score"
