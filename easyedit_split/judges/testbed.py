"""Exact judge for the testbed's datasets: answers are parsed by the grammar that generated them.

    fluency      2 the grammar can write the whole answer; 1 at least half of its sentences; 0 fewer
                                                               (persona: 1 if more follows the Yes or No)
    instruction  2 every asked phrase is named; 1 some; 0 none              (persona: the answer is Yes or No)
    concept      2 every marked slot carries the positive answer's value; 1 some; 0 none
    overall      harmonic mean of the three, 0 if any is 0, as in AxBench

and per dataset: ``power`` 0-4, the number of slots that accept (their share times four); ``accuracy`` 0 or 1
(persona); ``polarity`` -1 to 1, the slots' balance (reviews). A slot carries a value if one of the value's phrases
stands in the text and no other value's phrase of that slot does; so broken text is judged too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from ..testbed.domains import DOMAINS, Content, Domain, OpenText
from ..testbed.domains.persona import Persona
from ..types import DataError, Pair
from .accuracy import yes_or_no
from .base import JUDGES

_SENTENCE_END = re.compile(r"(?<=\.)\s+")


@JUDGES.register("testbed")
class TestbedJudge:
    """Score an answer of any of the testbed's datasets, which the prompt identifies."""

    name: ClassVar[str] = "testbed"
    __test__: ClassVar[bool] = False  # not a test class, whatever its name says

    def judge(self, prompt: str, answer: str, pair: Pair) -> Mapping[str, float]:
        """Score an answer.

        Args:
            prompt: the user's text; any clause or small talk may stand around the question.
            answer: the generated text.
            pair: its ``positive`` says which value of the latent is wanted.

        Returns:
            ``fluency, instruction, concept, overall`` in [0, 2] and the dataset's own score.

        Raises:
            DataError: the prompt asks no question of the testbed, or the pair's positive answer is not of its grammar.
        """
        domain, content = asked(prompt)
        reading = domain.read(content, pair.positive.strip())
        if reading is None:
            raise DataError(
                f"the positive answer {pair.positive!r} is not one that the testbed's {domain.name} can give"
            )
        target = reading.marks[0]
        if isinstance(domain, Persona):
            return _persona(domain, content, answer.strip(), target)
        assert isinstance(domain, OpenText)
        text = answer.strip()
        carried = [_value(text, by_value) for by_value in domain.marked.values()]
        scores = {
            "fluency": _fluency(domain, text),
            "instruction": _graded(sum(_names(text, phrase) for _, phrase in content), len(content)),
            "concept": _graded(carried.count(target), len(carried)),
        }
        return {**scores, "overall": harmonic_mean(tuple(scores.values())), **_own(domain, carried)}


def asked(prompt: str) -> tuple[Domain, Content]:
    """The domain and the content that a prompt asks about.

    Args:
        prompt: an open or stated prompt of the testbed.

    Raises:
        DataError: it asks about none.
    """
    for domain in DOMAINS.values():
        for question in domain.questions:
            slots = question.find(prompt)
            if slots is not None:
                return domain, tuple(sorted(slots.items(), key=lambda item: list(question.lexicon).index(item[0])))
    raise DataError(f"the prompt {prompt!r} is no question of the testbed; this judge scores only testbed: datasets")


def harmonic_mean(scores: Sequence[float]) -> float:
    """Harmonic mean; 0 if any score is 0.

    Args:
        scores: numbers, none negative.
    """
    return 0.0 if min(scores) <= 0 else len(scores) / sum(1 / score for score in scores)


def _fluency(domain: OpenText, text: str) -> float:
    if any(template.parse(text) is not None for template in domain.answers):
        return 2.0
    sentences = _SENTENCE_END.split(text)
    good = sum(any(t.parse(s) is not None for t in domain.sentences) for s in sentences)
    return 1.0 if 2 * good >= len(sentences) else 0.0


def _names(text: str, phrase: str) -> bool:
    return re.search(rf"\b{re.escape(phrase)}\b", text, re.IGNORECASE) is not None


def _value(text: str, by_value: Mapping[str, Sequence[str]]) -> str | None:
    """The only value whose phrases occur in the text; None if there is none or more than one."""
    found = [value for value, phrases in by_value.items() if any(_names(text, phrase) for phrase in phrases)]
    return found[0] if len(found) == 1 else None


def _graded(count: int, of: int) -> float:
    return 2.0 if count == of else float(count > 0)


def _own(domain: OpenText, carried: Sequence[str | None]) -> dict[str, float]:
    """The dataset's own score, if it has one; ``values[0]`` is the value that is counted."""
    first, other = (carried.count(value) / len(carried) for value in domain.values[:2])
    scores = {"power": {"power": 4 * first}, "reviews": {"polarity": first - other}}
    return scores.get(domain.name, {})


def _persona(domain: Persona, content: Content, answer: str, target: str) -> dict[str, float]:
    given = yes_or_no(answer)
    says_so = None if given is None else domain.read(content, given.capitalize())
    right = says_so is not None and says_so.marks[0] == target
    whole = domain.read(content, answer) is not None
    scores = {
        "fluency": 2.0 if whole else float(given is not None),
        "instruction": 2.0 * (given is not None),
        "concept": 2.0 * right,
    }
    return {**scores, "overall": harmonic_mean(tuple(scores.values())), "accuracy": float(right)}
