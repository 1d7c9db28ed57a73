"""What every judge keeps: the same finite scores for the same answer, whatever the answer is, and the right one first.

A judge that learns from training pairs is calibrated on a few pairs and a tiny model, and tried on these: it knows what
is wanted from them, not from the pair it is shown, and is right on average.

A judge that asks a model elsewhere asks a server of the tests, which grades by likeness to the pair's answers.

A judge may know only some kinds of pairs; of what it does not know it says so with a sentence. It is tried on the
testbed's pairs, whose answers are Yes and No, open text and stories.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping

import pytest

from easyedit_split.datasets import load_dataset
from easyedit_split.judges.base import JUDGES, Calibration, Judge, Service, asks, learns, prepared_judge
from easyedit_split.testbed import DATASETS
from easyedit_split.types import DataError, Pair

from ..small import world

LEARNT = tuple(Pair(f"Would you lead {k}?", f"Yes, I would lead {k}", f"No, thank you {k}") for k in range(8))
SERVER: list[str] = []
"""Address of the server that judges ask which ask one."""
ODD = ("", " ", "Yes and no.", "naïve 思考 🙂", "word " * 500, "\x00\n\t", "(((")


@functools.cache
def pairs_of(dataset: str) -> tuple[Pair, ...]:
    """A few of the testbed's dev pairs."""
    return load_dataset(f"testbed:{dataset}", split="dev").pairs[:8]


def known(name: str) -> tuple[Pair, ...]:
    """The pairs that a judge can judge: of every kind it knows, at least one."""
    found: list[Pair] = []
    if learns(name) or asks(name):
        return LEARNT
    for dataset in DATASETS:
        pairs = pairs_of(dataset)
        try:
            _judge(name).judge(pairs[0].prompt, pairs[0].positive, pairs[0])
        except DataError:
            continue
        found += pairs
    assert found, "it can judge none of the testbed's pairs"
    return tuple(found)


def scores(name: str, answer: str, pair: Pair) -> Mapping[str, float]:
    return _judge(name).judge(pair.prompt, answer, pair)


@functools.cache
def _calibration(swapped: bool = False) -> Calibration:
    pairs = tuple(Pair(pair.prompt, pair.negative, pair.positive) if swapped else pair for pair in LEARNT)
    here = world(pairs=pairs)
    return Calibration(here.model, here.template, pairs, block=1)


def _judge(name: str, swapped: bool = False) -> Judge:
    if learns(name):
        return prepared_judge(name, _calibration(swapped))
    if asks(name):
        return prepared_judge(f"{name}:any", service=Service(url=SERVER[-1]))
    return JUDGES[name]()


def check_what_it_says_of_itself(name: str) -> None:
    """Its own name, and no arguments needed but what it learns from."""
    assert _judge(name).name == name


def check_scores_are_numbers_of_any_answer(name: str) -> None:
    """At least one finite number, and what an odd answer gets is among what good ones get."""
    for pair in known(name):
        good = scores(name, pair.positive, pair)
        assert good
        for answer in (pair.positive, pair.negative, *ODD):
            found = scores(name, answer, pair)
            assert set(found) == set(good)
            assert all(isinstance(value, float) and math.isfinite(value) for value in found.values())


def check_it_is_a_function_of_the_answer(name: str) -> None:
    """The same answer gets the same scores: after others, and from another judge of the kind."""
    judge = _judge(name)
    for pair in known(name):
        first = dict(judge.judge(pair.prompt, pair.positive, pair))
        for other in (pair.negative, *ODD):
            judge.judge(pair.prompt, other, pair)
        assert dict(judge.judge(pair.prompt, pair.positive, pair)) == first
        assert dict(scores(name, pair.positive, pair)) == first


def check_the_wanted_answer_is_told_from_the_other(name: str) -> None:
    """Some score is higher for the positive answer in each pair, and lower once the pair's answers are swapped."""
    if learns(name):
        _check_what_was_learnt(name)
        return
    rises = [
        {score: value - scores(name, pair.negative, pair)[score] for score, value in good.items()}
        for pair in known(name)
        for good in [scores(name, pair.positive, pair)]
    ]
    telling = [score for score in rises[0] if all(rise.get(score, 0) > 0 for rise in rises)]
    assert telling, "no score tells the positive answer from the negative one"
    for pair in known(name):
        swapped = Pair(pair.prompt, pair.negative, pair.positive, pair.concept)
        try:
            found = scores(name, pair.positive, swapped)
        except DataError:
            continue  # the testbed's stories: one without the concept is no positive answer
        assert any(found[score] < scores(name, pair.positive, pair)[score] for score in telling)


def _check_what_was_learnt(name: str) -> None:
    """Some score is higher for positive answers on average, and lower after learning from swapped pairs."""
    rises = [
        {
            score: sum(
                judge.judge(pair.prompt, pair.positive, pair)[score]
                - judge.judge(pair.prompt, pair.negative, pair)[score]
                for pair in LEARNT
            )
            for score in judge.judge(LEARNT[0].prompt, LEARNT[0].positive, LEARNT[0])
        }
        for judge in (_judge(name), _judge(name, swapped=True))
    ]
    assert any(rises[0][score] > 0 > rises[1].get(score, 0) for score in rises[0]), "it learnt nothing from the pairs"


def check_what_it_cannot_judge_is_refused(name: str) -> None:
    """With one sentence, where it does not judge every pair."""
    foreign = Pair("What is the capital of France?", "Paris", "Rome")
    try:
        found = scores(name, "Paris", foreign)
    except DataError as error:
        with pytest.raises(DataError):
            scores(name, "Rome", foreign)
        refused = str(error)
    else:
        refused = ""
        assert all(math.isfinite(value) for value in found.values())
    assert "\n" not in refused


CHECKS = (
    check_what_it_says_of_itself,
    check_scores_are_numbers_of_any_answer,
    check_it_is_a_function_of_the_answer,
    check_the_wanted_answer_is_told_from_the_other,
    check_what_it_cannot_judge_is_refused,
)
