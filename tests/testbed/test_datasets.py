"""The datasets of pairs: sizes, balance, disjoint contents, determinism, and a corpus that never saw them."""

from __future__ import annotations

import itertools

import pytest

from easyedit_split.judges.testbed import asked
from easyedit_split.testbed import DATASETS, SPLITS, pairs, stated
from easyedit_split.testbed.corpus import chats
from easyedit_split.testbed.datasets import cases, corpus_contents, domain_named
from easyedit_split.testbed.grammar import SentencePattern
from easyedit_split.types import DataError

SIZES = {"train": 128, "dev": 64, "test": 64}
CONCEPT_SIZES = {"train": 160, "dev": 80, "test": 80}


@pytest.mark.parametrize("name", DATASETS)
def test_sizes_and_disjoint_contents(name: str) -> None:
    sizes = CONCEPT_SIZES if name == "concepts" else SIZES
    seen = [{case.content for case in cases(name, split)} for split in SPLITS]
    assert [len(s) for s in seen] == [sizes[split] for split in SPLITS]
    pools = [*seen, set(corpus_contents(name))]
    assert sum(map(len, pools)) == len(set().union(*pools)) == len(domain_named(name).contents())


@pytest.mark.parametrize("name", DATASETS)
def test_pairs_are_the_same_every_time_and_two_answers_differ(name: str) -> None:
    first, second = pairs(name, "test"), pairs(name, "test")
    assert first == second
    assert all(pair.positive != pair.negative for pair in first)
    assert pairs(name, "train")[:5] != first[:5]


def test_personas_positive_answers_are_half_yes_in_every_split() -> None:
    for split in SPLITS:
        replies = [pair.positive for pair in pairs("persona", split)]
        assert replies.count("Yes") == replies.count("No") == len(replies) // 2


def test_concepts_are_ten_and_named() -> None:
    rows = pairs("concepts", "train")
    assert len({pair.concept for pair in rows}) == 10
    assert all(pair.concept is None for pair in pairs("power", "train"))


@pytest.mark.parametrize("name", DATASETS)
def test_open_prompts_name_no_value_and_stated_ones_do(name: str) -> None:
    domain = domain_named(name)
    for side in ("positive", "negative"):
        for case, bare, told in zip(cases(name, "test"), pairs(name, "test"), stated(name, "test", side), strict=True):
            clauses = [clause for value in domain.values for clause in domain.clauses[value]]
            assert not any(clause in bare.prompt for clause in clauses)
            assert any(clause in told.prompt for clause in domain.clauses[getattr(case, side)])
            assert (bare.positive, bare.negative) == (told.positive, told.negative)


def test_the_corpus_asks_about_no_pairs_content() -> None:
    held_out = {(name, case.content) for name in DATASETS for split in SPLITS for case in cases(name, split)}
    statement = SentencePattern('"{frame} {verb} {whom}."', domain_named("persona").questions[0].lexicon)
    seen = set()
    for kind, chat in itertools.islice(chats(seed=11), 1500):
        for text in (message["content"] for message in chat if message["role"] == "user"):
            if kind in DATASETS:
                seen.add((kind, asked(text)[1]))
            elif kind != "self":
                said = statement.find(text)
                assert said is not None
                seen.add(("persona", tuple(said.items())))
    assert len(seen) > 1000
    assert not seen & held_out
    assert ("power", asked(pairs("power", "test")[0].prompt)[1]) in held_out, "control: contents are comparable"


def test_unknown_names_say_what_is_allowed() -> None:
    with pytest.raises(DataError, match="'poems' is unknown; allowed: reviews, persona, power, concepts"):
        pairs("poems", "train")
    with pytest.raises(DataError, match="'valid' of testbed:power is unknown; allowed: train, dev, test"):
        pairs("power", "valid")
    with pytest.raises(DataError, match="'left' is unknown"):
        stated("power", "test", "left")
