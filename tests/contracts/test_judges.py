"""Every registered judge keeps the contract, and every check of it catches one that does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import pytest

from easyedit_split.judges.base import JUDGES, Calibration, Service
from easyedit_split.types import DataError, Pair

from ..judges.service import served
from . import judges
from .temporary import caught, registered


@pytest.fixture(scope="module", autouse=True)
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A server for the judges that ask one, and a cache of these tests' own."""
    with served() as service, pytest.MonkeyPatch.context() as patch:
        patch.setenv("EASYEDIT_SPLIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        judges.SERVER.append(service.url)
        yield
        judges.SERVER.pop()


@pytest.mark.parametrize("name", JUDGES.names())
@pytest.mark.parametrize("check", judges.CHECKS)
def test_judge(name: str, check: Callable[[str], None]) -> None:
    check(name)


# --- what the checks are good for ----------------------------------------------------------------------------------


class Wrong:
    """Is it word for word the positive answer? Right in everything but what a subclass spoils."""

    name: ClassVar[str] = "wrong"

    def judge(self, prompt: str, answer: str, pair: Pair) -> Mapping[str, float]:
        return {"exact": float(answer == pair.positive)}


class NeedsSettings(Wrong):
    def __init__(self, threshold: float) -> None:
        self.threshold = threshold


class Divides(Wrong):
    def judge(self, prompt: str, answer: str, pair: Pair) -> Mapping[str, float]:
        return {"words": len(answer.split()) / (len(answer) - 1 or float("nan"))}


class Indexes(Wrong):
    def judge(self, prompt: str, answer: str, pair: Pair) -> Mapping[str, float]:
        return {"exact": float(answer.split()[:1] == pair.positive.split()[:1]), answer[:3]: 1.0}


class Remembers(Wrong):
    def __init__(self) -> None:
        self.seen = 0

    def judge(self, prompt: str, answer: str, pair: Pair) -> Mapping[str, float]:
        self.seen += 1
        return {"exact": float(answer == pair.positive) + 0.01 * self.seen}


class LikesTheOther(Wrong):
    def judge(self, prompt: str, answer: str, pair: Pair) -> Mapping[str, float]:
        return {"exact": float(answer == pair.negative)}


class LikesYes(Wrong):
    """Looks at the answer alone, and not at what was wanted."""

    def judge(self, prompt: str, answer: str, pair: Pair) -> Mapping[str, float]:
        return {"length": float(len(answer))}


class KnowsNothing(Wrong):
    def judge(self, prompt: str, answer: str, pair: Pair) -> Mapping[str, float]:
        raise DataError("not of my kind")


class LearnsNothing(Wrong):
    """Calibrated, and none the wiser."""

    @classmethod
    def prepared(cls, calibration: Calibration) -> LearnsNothing:
        return cls()

    def judge(self, prompt: str, answer: str, pair: Pair) -> Mapping[str, float]:
        return {"yes": float(answer.startswith("Yes"))}


class AsksAndDoesNotListen(Wrong):
    """Asks a model elsewhere, and not about what is wanted."""

    @classmethod
    def asking(cls, service: Service) -> AsksAndDoesNotListen:
        return cls()

    def judge(self, prompt: str, answer: str, pair: Pair) -> Mapping[str, float]:
        return {"yes": float(answer.startswith("Yes"))}


class LongWinded(Wrong):
    def judge(self, prompt: str, answer: str, pair: Pair) -> Mapping[str, float]:
        if "?" in prompt and "Paris" in pair.positive:
            raise DataError("no:\nnot this one")
        return super().judge(prompt, answer, pair)


CAUGHT = [
    (NeedsSettings, judges.check_what_it_says_of_itself),
    (Divides, judges.check_scores_are_numbers_of_any_answer),
    (Indexes, judges.check_scores_are_numbers_of_any_answer),
    (KnowsNothing, judges.check_scores_are_numbers_of_any_answer),
    (Remembers, judges.check_it_is_a_function_of_the_answer),
    (LikesTheOther, judges.check_the_wanted_answer_is_told_from_the_other),
    (LikesYes, judges.check_the_wanted_answer_is_told_from_the_other),
    (LearnsNothing, judges.check_the_wanted_answer_is_told_from_the_other),
    (AsksAndDoesNotListen, judges.check_the_wanted_answer_is_told_from_the_other),
    (LongWinded, judges.check_what_it_cannot_judge_is_refused),
]


@pytest.mark.parametrize(("wrong", "check"), CAUGHT)
def test_control(wrong: type[Any], check: Callable[[str], None]) -> None:
    with registered(JUDGES, "wrong", wrong) as name, caught():
        check(name)


def test_control_another_name() -> None:
    with registered(JUDGES, "another", Wrong) as name, caught():
        judges.check_what_it_says_of_itself(name)


@pytest.mark.parametrize("check", judges.CHECKS)
def test_control_what_the_wrong_ones_are_made_from_is_right(check: Callable[[str], None]) -> None:
    with registered(JUDGES, "wrong", Wrong) as name:
        check(name)
