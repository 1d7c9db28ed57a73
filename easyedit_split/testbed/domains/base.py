"""What a domain of the small world is: contents that can be asked about, a latent, and the answers it allows.

    question(content)            -> what the user asks (never names the latent)
    answer(content, value, rng)  -> a text that carries ``value`` in every marked slot
    read(answer)                 -> the slots it was written with, or None if the grammar cannot write it

A latent has ``values``; ``clauses[value]`` state it in the user's (or the system's) words, ``weak[value]`` state it
mildly (the corpus then follows it in 4 of 5 answers), and without a clause it is open.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, runtime_checkable

from ..grammar import Lexicon, SentencePattern, Slots

Content = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ParsedAnswer:
    """An answer read back.

    Attributes:
        slots: every slot of the answer.
        marks: the latent's value in each marked slot, in the order of the text.
    """

    slots: Slots
    marks: tuple[str, ...]


@runtime_checkable
class Domain(Protocol):
    """One kind of chat of the small world."""

    @property
    def name(self) -> str:
        """The dataset's name."""

    @property
    def values(self) -> tuple[str, ...]:
        """The latent's values."""

    @property
    def clauses(self) -> Mapping[str, Sequence[str]]:
        """Sentences that state each value."""

    @property
    def weak(self) -> Mapping[str, Sequence[str]]:
        """Sentences that state each value mildly."""

    @property
    def questions(self) -> tuple[SentencePattern, ...]:
        """The ways to ask about a content."""

    def contents(self) -> list[Content]:
        """Every content that can be asked about, in a fixed order."""

    def answer(self, content: Content, value: str, rng: random.Random) -> str:
        """Draw an answer that carries ``value``.

        Args:
            content: what the prompt asks about.
            value: the latent's value.
            rng: draws the words.
        """

    def pair(self, content: Content, positive: str, negative: str, rng: random.Random) -> tuple[str, str]:
        """Draw two answers that differ in the marked slots only.

        Args:
            content: what the prompt asks about.
            positive: the latent's value that the first answer carries.
            negative: the value that the second answer carries.
            rng: draws the words that both share.
        """

    def read(self, content: Content, answer: str) -> ParsedAnswer | None:
        """Parse an answer, or None if the grammar cannot write it.

        Args:
            content: what the prompt asks about.
            answer: the text.
        """


@dataclass(frozen=True)
class OpenText:
    """A domain whose answers are open text over one template family.

    Attributes:
        name: the dataset's name.
        values: the latent's values.
        topic: slots that a question fixes and an answer must repeat.
        free: slots that an answer fills as it likes.
        marked: slots that carry the latent: slot -> value -> phrases. A phrase belongs to one value only.
        asks: question patterns over ``topic``.
        tells: answer patterns over ``topic``, ``free`` and ``marked``.
        clauses: value -> sentences that state it.
        weak: value -> sentences that state it mildly.
    """

    name: str
    values: tuple[str, ...]
    topic: Lexicon
    free: Lexicon
    marked: Mapping[str, Mapping[str, Sequence[str]]]
    asks: tuple[str, ...]
    tells: tuple[str, ...]
    clauses: Mapping[str, Sequence[str]]
    weak: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @cached_property
    def questions(self) -> tuple[SentencePattern, ...]:
        """The ways to ask about a content."""
        return tuple(SentencePattern(text, self.topic) for text in self.asks)

    @cached_property
    def answers(self) -> tuple[SentencePattern, ...]:
        """The ways to answer."""
        any_value = {s: tuple(itertools.chain(*by_value.values())) for s, by_value in self.marked.items()}
        lexicon = {**self.topic, **self.free, **any_value}
        return tuple(SentencePattern(text, lexicon) for text in self.tells)

    @cached_property
    def sentences(self) -> tuple[SentencePattern, ...]:
        """The single sentences that answers are made of."""
        parts = dict.fromkeys(part.strip(" .") + "." for answer in self.answers for part in answer.text.split(". "))
        return tuple(SentencePattern(text, self.answers[0].lexicon) for text in parts)

    def contents(self) -> list[Content]:
        """Every combination of the topic's phrases, in a fixed order."""
        return [tuple(zip(self.topic, combo, strict=True)) for combo in itertools.product(*self.topic.values())]

    def answer(self, content: Content, value: str, rng: random.Random) -> str:
        """Draw an answer that carries ``value`` in every marked slot.

        Args:
            content: what the prompt asks about.
            value: the latent's value.
            rng: draws the words.
        """
        template, shared = self._draw(content, rng)
        return template.fill(shared | self._mark(value, rng))

    def pair(self, content: Content, positive: str, negative: str, rng: random.Random) -> tuple[str, str]:
        """Draw two answers that differ in the marked slots only.

        Args:
            content: what the prompt asks about.
            positive: the latent's value that the first answer carries.
            negative: the value that the second answer carries.
            rng: draws the words that both share.
        """
        template, shared = self._draw(content, rng)
        return (
            template.fill(shared | self._mark(positive, rng)),
            template.fill(shared | self._mark(negative, rng)),
        )

    def read(self, content: Content, answer: str) -> ParsedAnswer | None:
        """Parse an answer, or None if no template can have written it.

        Args:
            content: what the prompt asks about.
            answer: the text.
        """
        for template in self.answers:
            slots = template.parse(answer)
            if slots is not None:
                marks = tuple(self._value_of(s, slots[s]) for s in template.slots if s in self.marked)
                return ParsedAnswer(slots, marks)
        return None

    def _draw(self, content: Content, rng: random.Random) -> tuple[SentencePattern, Slots]:
        template = rng.choice(self.answers)
        return template, dict(content) | {slot: rng.choice(phrases) for slot, phrases in self.free.items()}

    def _mark(self, value: str, rng: random.Random) -> Slots:
        return {slot: rng.choice(by_value[value]) for slot, by_value in self.marked.items()}

    def _value_of(self, slot: str, phrase: str) -> str:
        return next(value for value, phrases in self.marked[slot].items() if phrase in phrases)
