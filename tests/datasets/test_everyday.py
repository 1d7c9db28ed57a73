"""The pairs that ship with the package: as many as they say, of like length, each question once, mood alone apart."""

from __future__ import annotations

import re
from collections import Counter

from easyedit_split.datasets import load_dataset
from easyedit_split.datasets.everyday import neutral_prompts

SIZES = {"train": 96, "dev": 16, "test": 32}
SPLITS = {split: load_dataset("everyday", split=split).pairs for split in SIZES}
EVERY = [pair for pairs in SPLITS.values() for pair in pairs]


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def test_the_splits_have_their_sizes_and_no_question_twice() -> None:
    assert {split: len(pairs) for split, pairs in SPLITS.items()} == SIZES
    assert load_dataset("everyday").pairs == SPLITS["train"]
    assert len({pair.prompt for pair in EVERY}) == len(EVERY)
    answers = [text for pair in EVERY for text in (pair.positive, pair.negative)]
    assert len(set(answers)) == len(answers)


def test_a_pairs_answers_are_sentences_of_about_the_same_length() -> None:
    for pair in EVERY:
        for text in (pair.prompt, pair.positive, pair.negative):
            assert text == text.strip(), text
            assert text[0].isupper(), text
            assert text[-1] in ".?!", text
            assert "  " not in text, text
            assert text.isascii(), text
        a, b = len(words(pair.positive)), len(words(pair.negative))
        assert 9 <= min(a, b) <= max(a, b) <= 26, pair
        assert abs(a - b) <= 6, pair


def test_length_does_not_tell_cheerful_from_gloomy() -> None:
    differences = [len(words(pair.positive)) - len(words(pair.negative)) for pair in EVERY]
    assert abs(sum(differences) / len(differences)) < 1.2


def test_the_mood_does_and_other_words_hardly() -> None:
    """Words of mood stand on one side only; the commonest words of all stand on both."""
    counts = [
        Counter(word for pair in EVERY for word in words(getattr(pair, side))) for side in ("positive", "negative")
    ]
    for word in ("wonderful", "laugh", "joy", "happy", "love"):
        assert counts[0][word] >= 5
        assert counts[0][word] >= 4 * counts[1][word]
    for word in ("the", "and", "you", "it", "is", "will", "my"):
        assert 1 / 2.5 < counts[0][word] / counts[1][word] < 2.5


def test_neutral_prompts_are_64_questions_that_no_pair_asks() -> None:
    prompts = neutral_prompts()
    assert len(prompts) == len(set(prompts)) == 64
    assert neutral_prompts(5) == prompts[:5]
    assert not {pair.prompt for pair in EVERY} & set(prompts)
    assert all(prompt == prompt.strip() and prompt[-1] in ".?" for prompt in prompts)
