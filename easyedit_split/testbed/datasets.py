"""The small world's datasets of pairs: disjoint contents for train, dev and test, none of them in the corpus.

    reviews, persona, power   128 / 64 / 64 pairs          concepts   ten x 16 / 8 / 8 pairs

Every pair's prompt leaves the latent open, its two answers differ in the marked slots only, and its content (what is
asked about) appears nowhere in the text that the tiny models were trained on. ``stated`` gives the same pairs with
the latent stated in the prompt. Everything is a function of the names alone: no seed to lose.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from dataclasses import dataclass

from ..types import DataError, Pair
from .domains import DOMAINS, Content, Domain
from .domains.concepts import CONCEPTS_TEN, PLAIN
from .domains.persona import Persona
from .prompts import ask

DATASETS = tuple(DOMAINS)
SPLITS = ("train", "dev", "test")
_SIZES = {"train": 128, "dev": 64, "test": 64}
_CONCEPT_SIZES = {"train": 16, "dev": 8, "test": 8}


@dataclass(frozen=True)
class Case:
    """What a pair is made from: a content and the latent's two values.

    Attributes:
        content: what the prompt asks about.
        positive: the latent's value that the positive answer carries.
        negative: the value that the negative answer carries.
    """

    content: Content
    positive: str
    negative: str


def pairs(name: str, split: str) -> list[Pair]:
    """The pairs of one split, with open prompts.

    Args:
        name: ``reviews``, ``persona``, ``power`` or ``concepts``.
        split: ``train``, ``dev`` or ``test``.

    Raises:
        DataError: unknown dataset or split.
    """
    return [_pair(name, split, row, case, None) for row, case in enumerate(cases(name, split))]


def stated(name: str, split: str, side: str) -> list[Pair]:
    """The same pairs with the latent stated in the prompt.

    Args:
        name: the dataset.
        split: the split.
        side: ``positive`` states the positive answer's value, ``negative`` the negative answer's.
    """
    if side not in ("positive", "negative"):
        raise DataError(f"side {side!r} is unknown; allowed: positive, negative")
    return [_pair(name, split, row, case, getattr(case, side)) for row, case in enumerate(cases(name, split))]


def cases(name: str, split: str) -> list[Case]:
    """What the pairs of one split are made from, in the pairs' order.

    Args:
        name: ``reviews``, ``persona``, ``power`` or ``concepts``.
        split: ``train``, ``dev`` or ``test``.
    """
    domain = domain_named(name)
    if split not in SPLITS:
        raise DataError(f"split {split!r} of testbed:{name} is unknown; allowed: {', '.join(SPLITS)}")
    order = _shuffled(name)
    if name != "concepts":
        start = sum(_SIZES[s] for s in SPLITS[: SPLITS.index(split)])
        chosen = order[start : start + _SIZES[split]]
        return [Case(content, domain.values[0], domain.values[1]) for content in chosen]
    start = sum(_CONCEPT_SIZES[s] for s in SPLITS[: SPLITS.index(split)])
    each = sum(_CONCEPT_SIZES.values())
    return [
        Case(content, concept, PLAIN)
        for block, concept in enumerate(CONCEPTS_TEN)
        for content in order[block * each + start : block * each + start + _CONCEPT_SIZES[split]]
    ]


@functools.cache
def corpus_contents(name: str) -> Sequence[Content]:
    """The contents that the corpus may use: those of no pair.

    Args:
        name: ``reviews``, ``persona``, ``power`` or ``concepts``.
    """
    held_out = sum(_SIZES.values()) if name != "concepts" else len(CONCEPTS_TEN) * sum(_CONCEPT_SIZES.values())
    return _shuffled(domain_named(name).name)[held_out:]


def domain_named(name: str) -> Domain:
    """The domain of a dataset.

    Args:
        name: ``reviews``, ``persona``, ``power`` or ``concepts``.

    Raises:
        DataError: unknown; names the known ones.
    """
    if name not in DOMAINS:
        raise DataError(f"testbed dataset {name!r} is unknown; allowed: {', '.join(DATASETS)}")
    return DOMAINS[name]


@functools.cache
def _shuffled(name: str) -> tuple[Content, ...]:
    """All contents in a fixed random order; persona's alternate in valence, so that every split is balanced."""
    domain = domain_named(name)
    order = domain.contents()
    random.Random(f"{name}:contents").shuffle(order)
    if not isinstance(domain, Persona):
        return tuple(order)
    by_valence = [[c for c in order if domain.valence(c) == value] for value in domain.values]
    return tuple(content for both in zip(*by_valence, strict=True) for content in both)


def _pair(name: str, split: str, row: int, case: Case, value: str | None) -> Pair:
    domain = domain_named(name)
    words = random.Random(f"{name}:{split}:{row}:answers")
    positive, negative = domain.pair(case.content, case.positive, case.negative, words)
    rng = random.Random(f"{name}:{split}:{row}:prompt")
    clause = None if value is None else rng.choice(domain.clauses[value])
    (user,) = ask(domain, case.content, rng, clause)
    concept = case.positive if name == "concepts" else None
    return Pair(prompt=user["content"], positive=positive, negative=negative, concept=concept)
