"""The ten manners that ship with the package: as many pairs as they say, whose words tell the manner."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from easyedit_split.datasets import DATASETS, load_dataset
from easyedit_split.datasets.everyday import neutral_prompts
from easyedit_split.datasets.in_package import InPackage
from easyedit_split.types import DataError, Pair

SIZES = {"train": 32, "dev": 16, "test": 16}
SPLITS = {split: load_dataset("manners", split=split) for split in SIZES}
EVERY = [pair for table in SPLITS.values() for pair in table]
CONCEPTS = (
    "like a pirate", "with thanks", "with food in every sentence", "with great excitement", "grumpily", "with worry",
    "like an old-fashioned butler", "with music in every sentence", "as if it were a secret", "boastfully",
)  # fmt: skip
LONGER = "with thanks"
"""Its answers with thanks are longer than those without, by a fifth on average."""


def of(concept: str, pairs: list[Pair] = EVERY) -> list[Pair]:
    return [pair for pair in pairs if pair.concept == concept]


def longer_by(pair: Pair) -> float:
    """How much longer the positive answer is, as a share of the longer one's characters."""
    a, b = len(pair.positive), len(pair.negative)
    return (a - b) / max(a, b)


# --- what is in the file -------------------------------------------------------------------------------------------


def test_ten_concepts_have_the_same_sizes() -> None:
    for split, table in SPLITS.items():
        assert table.concepts() == CONCEPTS
        assert Counter(pair.concept for pair in table) == dict.fromkeys(CONCEPTS, SIZES[split])
    assert load_dataset("manners") == SPLITS["train"]


def test_no_prompt_is_asked_twice_within_a_concept_and_none_leaks_into_another_split() -> None:
    splits = defaultdict(set)
    for split, table in SPLITS.items():
        for pair in table:
            splits[pair.prompt].add(split)
    for concept in CONCEPTS:
        assert len({str(pair.prompt).lower() for pair in of(concept)}) == sum(SIZES.values())
    assert not {prompt for prompt, found in splits.items() if len(found) > 1}


def test_no_prompt_is_a_neutral_one() -> None:
    prompts = {pair.prompt for pair in EVERY}
    assert not prompts & set(neutral_prompts())


def test_no_answer_is_given_twice() -> None:
    answers = [answer for pair in EVERY for answer in (pair.positive, pair.negative)]
    assert len(set(answers)) == len(answers) == 1280


@pytest.mark.parametrize("concept", CONCEPTS)
def test_answers_are_plain_sentences(concept: str) -> None:
    for pair in of(concept):
        for text in (str(pair.prompt), pair.positive, pair.negative):
            assert text.isascii(), text
            assert text == " ".join(text.split()), text
            assert text[0].isupper() or text[0] == "'", text
            assert text[-1] in ".?!", text
        for answer in (pair.positive, pair.negative):
            assert 12 <= len(answer.split()) <= 25, answer


@pytest.mark.parametrize("concept", [concept for concept in CONCEPTS if concept != LONGER])
def test_length_hardly_tells_the_answers_apart(concept: str) -> None:
    found = [longer_by(pair) for pair in of(concept)]
    assert max(map(abs, found)) <= 0.25
    assert abs(np.mean(found)) <= 0.08


def test_control_with_thanks_is_longer() -> None:
    found = [longer_by(pair) for pair in of(LONGER)]
    assert 0.15 < np.mean(found) < 0.25
    assert max(found) < 0.4


@pytest.mark.parametrize("concept", CONCEPTS)
def test_openings_vary(concept: str) -> None:
    """But for the two manners that begin by a word: the pirate's cry and the thanks."""
    (word, count), *_ = Counter(pair.positive.split()[0] for pair in of(concept)).most_common(1)
    assert count <= 16 or word in {"Arr,", "Thank"}


def answers(pairs: list[Pair]) -> tuple[list[str], list[int]]:
    return [p.positive for p in pairs] + [p.negative for p in pairs], [1] * len(pairs) + [0] * len(pairs)


def told_apart(train: list[Pair], test: list[Pair]) -> float:
    """Share of the test answers that a linear model of words, fitted on the train answers, puts on the right side."""
    model = make_pipeline(CountVectorizer(token_pattern=r"[A-Za-z']+|!|\?", binary=True), LogisticRegression())
    return float(model.fit(*answers(train)).score(*answers(test)))


@pytest.mark.parametrize("concept", CONCEPTS)
def test_words_of_the_train_answers_tell_the_manner_of_the_test_answers(concept: str) -> None:
    train, test = (of(concept, list(SPLITS[split])) for split in ("train", "test"))
    assert told_apart(train, test) >= 0.75


def test_control_with_sides_exchanged_at_random_words_tell_nothing() -> None:
    rng = np.random.default_rng(0)
    found = []
    for concept in CONCEPTS:
        train, test = (of(concept, list(SPLITS[split])) for split in ("train", "test"))
        mixed = [
            replace(pair, positive=pair.negative, negative=pair.positive) if rng.random() < 0.5 else pair
            for pair in train
        ]
        found.append(told_apart(mixed, test))
    assert 0.35 < np.mean(found) < 0.65


# --- how it is asked for -------------------------------------------------------------------------------------------


def test_a_concept_is_asked_for_by_its_number_in_the_file() -> None:
    for number, concept in enumerate(CONCEPTS):
        table = load_dataset("manners", split="dev", concept_id=number)
        assert list(table) == of(concept, list(SPLITS["dev"]))
        assert set(table.rows) < set(SPLITS["dev"].rows)


@pytest.mark.parametrize("number", [-1, 10])
def test_a_concept_that_is_not_there_is_refused_with_those_that_are(number: int) -> None:
    with pytest.raises(DataError, match=rf"^manners: no concept {number}; it has 0 \(like a pirate\), .* 9 \(boastf"):
        load_dataset("manners", concept_id=number)


def test_a_limit_is_each_concepts() -> None:
    table = load_dataset("manners", limit=3)
    assert Counter(pair.concept for pair in table) == dict.fromkeys(CONCEPTS, 3)
    alone = load_dataset("manners", limit=3, concept_id=4)
    assert list(alone) == of("grumpily", list(table))


def test_the_instruction_ends_with_the_concept() -> None:
    dataset = DATASETS["manners"]
    assert dataset.instruction.format(concept=CONCEPTS[6]) == "Answer like an old-fashioned butler."
    assert dataset.judge == DATASETS["everyday"].judge == "self"


@pytest.mark.parametrize("name", ["manners", "everyday"])
def test_no_path_or_columns_are_taken(name: str) -> None:
    assert issubclass(DATASETS[name], InPackage)
    with pytest.raises(DataError, match=f"{name} takes no path"):
        load_dataset(f"{name}:/somewhere")
    with pytest.raises(DataError, match=f"{name} takes no columns"):
        load_dataset(name, columns={"prompt": "q"})


def test_a_file_of_one_concept_takes_no_concept_id() -> None:
    with pytest.raises(DataError, match=r"everyday takes no concept_id \(got 0\): leave it out"):
        load_dataset("everyday", concept_id=0)
