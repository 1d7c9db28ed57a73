"""Every registered objective keeps the contract with each form it can train; every check catches one that does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from easyedit_split.training.objectives.base import OBJECTIVES, Objective
from easyedit_split.training.objectives.diff_mean import DiffMean
from easyedit_split.training.objectives.sft import Sft

from . import objectives
from .objectives import trainable
from .temporary import caught, registered

NAMES = OBJECTIVES.names()
LOSSES = tuple(name for name in NAMES if not OBJECTIVES[name].closed_form)
CLOSED = tuple(name for name in NAMES if OBJECTIVES[name].closed_form)


@pytest.mark.parametrize("name", NAMES)
def test_says_of_itself_what_it_is(name: str) -> None:
    objectives.check_what_it_says_of_itself(name)
    objectives.check_an_impossible_pairing_fails_when_it_is_read(name)


@pytest.mark.parametrize("name", LOSSES)
def test_loss(name: str) -> None:
    objectives.check_loss(name)


@pytest.mark.parametrize(("name", "form"), [(name, form) for name in LOSSES for form in trainable(name)])
def test_training_steers(name: str, form: str) -> None:
    objectives.check_training_steers(name, form)


@pytest.mark.parametrize(("name", "form"), [(name, form) for name in LOSSES for form in trainable(name)])
def test_training_repeats(name: str, form: str) -> None:
    objectives.check_training_repeats(name, form, "both")


@pytest.mark.parametrize("name", LOSSES)
def test_training_in_one_direction_repeats(name: str) -> None:
    objectives.check_training_repeats(name, trainable(name)[0], "add")


@pytest.mark.parametrize(("name", "form"), [(name, form) for name in CLOSED for form in trainable(name)])
def test_closed_form(name: str, form: str) -> None:
    objectives.check_closed_form(name, form)


# --- what the checks are good for ----------------------------------------------------------------------------------


class Wrong(Sft):
    """Cross-entropy, right in everything but what a subclass spoils."""

    name = "wrong"


class PushesDown(Wrong):
    def side_loss(self, *answers: Any) -> Any:
        return -super().side_loss(*answers)


class NeedsMoreThanItSays(Wrong):
    def side_loss(self, own: Any, other: Any, bare_own: Any, bare_other: Any) -> Any:
        return own.per_token - other.per_token


class CountsRows(Wrong):
    def side_loss(self, own: Any, *rest: Any) -> Any:
        loss = super().side_loss(own, *rest)
        return loss * loss.new_tensor(range(1, len(loss) + 1))


class OneNumberForAll(Wrong):
    def side_loss(self, *answers: Any) -> Any:
        return super().side_loss(*answers).mean()


class Overflows(Wrong):
    def side_loss(self, own: Any, *rest: Any) -> Any:
        return (1e3 * own.per_token).exp()


class Rolls(Wrong):
    """Another loss at every call."""

    calls = 0

    def side_loss(self, *answers: Any) -> Any:
        Rolls.calls += 1
        return super().side_loss(*answers) * (1 + 0.1 * Rolls.calls)


@dataclass(frozen=True)
class Demanding:
    number: int


class NoDefaults(Wrong):
    config_class = Demanding


class BothAtOnce(Wrong):
    closed_form = True


class UnknownForm(Wrong):
    forms = ("no_such_form",)


class WrongFit(DiffMean):
    """The difference of means, right in everything but what a subclass spoils."""

    name = "wrong"


class ForgetsOneSide(WrongFit):
    def fit(self, positive: Any, negative: Any) -> Any:
        return (positive.mean(0) + negative.mean(0)).to(positive.dtype)


class FindsNothing(WrongFit):
    def fit(self, positive: Any, negative: Any) -> Any:
        return 0 * super().fit(positive, negative)


def steers(name: str) -> None:
    objectives.check_training_steers(name, "vector")


def repeats(name: str) -> None:
    objectives.check_training_repeats(name, "vector", "add")


def closed(name: str) -> None:
    objectives.check_closed_form(name, "vector")


CAUGHT = [
    (PushesDown, objectives.check_loss),
    (PushesDown, steers),
    (NeedsMoreThanItSays, objectives.check_loss),
    (CountsRows, objectives.check_loss),
    (OneNumberForAll, objectives.check_loss),
    (Overflows, objectives.check_loss),
    (Rolls, repeats),
    (NoDefaults, objectives.check_what_it_says_of_itself),
    (BothAtOnce, objectives.check_what_it_says_of_itself),
    (UnknownForm, objectives.check_what_it_says_of_itself),
    (Sft, objectives.check_what_it_says_of_itself),  # under a name that is not its own
    (NoDefaults, objectives.check_an_impossible_pairing_fails_when_it_is_read),
    (ForgetsOneSide, closed),
    (FindsNothing, closed),
]


@pytest.mark.parametrize(("wrong", "check"), CAUGHT)
def test_control(wrong: type[Objective], check: Callable[[str], None]) -> None:
    with registered(OBJECTIVES, "wrong", wrong) as name, caught():
        check(name)


@pytest.mark.parametrize(("right", "check"), [(Wrong, objectives.check_loss), (Wrong, repeats), (WrongFit, closed)])
def test_control_what_the_wrong_ones_are_made_from_is_right(
    right: type[Objective], check: Callable[[str], None]
) -> None:
    with registered(OBJECTIVES, "wrong", right) as name:
        objectives.check_what_it_says_of_itself(name)
        check(name)
