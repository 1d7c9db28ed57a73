"""The grammar reads back exactly what it writes, and nothing else."""

from __future__ import annotations

import random

import pytest

from easyedit_split.testbed.domains import DOMAINS, OpenText
from easyedit_split.testbed.grammar import SentencePattern
from easyedit_split.types import DataError

NAMES = list(DOMAINS)
OPEN = [name for name, domain in DOMAINS.items() if isinstance(domain, OpenText)]


@pytest.mark.parametrize("name", NAMES)
def test_every_answer_reads_back_as_the_value_it_was_written_for(name: str) -> None:
    domain, rng = DOMAINS[name], random.Random(0)
    for content in rng.sample(domain.contents(), 50):
        for value in domain.values:
            reading = domain.read(content, domain.answer(content, value, rng))
            assert reading is not None
            assert set(reading.marks) == {value}


@pytest.mark.parametrize("name", NAMES)
def test_every_question_finds_its_content_and_no_other_domains(name: str) -> None:
    domain, rng = DOMAINS[name], random.Random(0)
    for content in rng.sample(domain.contents(), 20):
        for question in domain.questions:
            text = f"Hello. {question.fill(dict(content))} Thank you."
            assert question.find(text) == dict(content)
            others = [q for other in DOMAINS.values() if other is not domain for q in other.questions]
            assert all(q.find(text) is None for q in others)


@pytest.mark.parametrize("name", OPEN)
def test_a_phrase_belongs_to_one_value_only(name: str) -> None:
    domain = DOMAINS[name]
    assert isinstance(domain, OpenText)
    for slot, by_value in domain.marked.items():
        phrases = [phrase for value in domain.values for phrase in by_value[value]]
        assert len(phrases) == len(set(phrases)), slot
        assert len({len(by_value[value]) for value in domain.values}) == 1, "values must have equally many phrases"


@pytest.mark.parametrize("name", OPEN)
@pytest.mark.parametrize(
    "spoil", [str.lower, str.rstrip, lambda t: t + " And.", lambda t: t[:-1], lambda t: t.replace(" the ", " ")]
)
def test_a_spoiled_answer_is_not_read(name: str, spoil: object) -> None:
    domain, rng = DOMAINS[name], random.Random(1)
    assert callable(spoil)
    content = domain.contents()[0]
    whole = domain.answer(content, domain.values[0], rng)
    spoiled = spoil(whole)
    assert (domain.read(content, spoiled) is None) == (spoiled != whole)


def test_a_template_is_its_own_inverse_and_names_a_foreign_phrase() -> None:
    template = SentencePattern(
        "{who} met {what}; {who} left.", {"who": ("the king", "the cat"), "what": ("a dog", "a dog fox")}
    )
    for who in ("the king", "the cat"):
        slots = {"who": who, "what": "a dog fox"}
        assert template.parse(template.fill(slots)) == slots
    assert template.parse("the king met a dog; the cat left.") is None
    with pytest.raises(DataError, match="'a cow'; allowed: a dog, a dog fox"):
        template.fill({"who": "the king", "what": "a cow"})
