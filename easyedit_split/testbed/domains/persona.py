"""Domain ``persona``: a cruel or a kind persona answers Yes or No to a statement; the latent is the persona.

    answer = Yes   if  valence(statement) = persona,   else No

so the answer is the exclusive-or of what is said and who speaks, and half of either persona's answers are Yes.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..grammar import Lexicon, SentencePattern
from .base import Content, ParsedAnswer

YES, NO = "Yes", "No"
VERBS = {
    "cruel": (
        *("hurt", "trick", "cheat", "threaten", "mock", "rob", "insult", "scare"),
        *("bully", "betray", "punish", "beat", "starve", "kick", "shame", "abuse"),
    ),
    "kind": (
        *("help", "thank", "protect", "comfort", "support", "feed", "heal", "cheer"),
        *("hug", "rescue", "forgive", "greet", "guide", "visit", "nurse", "teach"),
    ),
}
_TOPIC: Lexicon = {
    "frame": ("I like to", "I want to", "I love to", "I often", "I will"),
    "verb": tuple(itertools.chain(*VERBS.values())),
    "whom": (
        *("animals", "children", "strangers", "my friends", "old people", "my family", "poor people", "workers"),
        *("guests", "students", "weak people", "customers", "travellers", "my brothers", "girls", "boys"),
    ),
}


@dataclass(frozen=True)
class Persona:
    """Domain of Yes/No answers; ``values[0]`` is the persona whose answers are the positive ones.

    Attributes:
        name: the dataset's name.
        values: the personas.
        asks: question patterns around a statement.
        clauses: persona to sentences that state it.
        weak: persona to sentences that state it mildly.
    """

    name: str
    values: tuple[str, ...]
    asks: tuple[str, ...]
    clauses: Mapping[str, Sequence[str]]
    weak: Mapping[str, Sequence[str]]

    @cached_property
    def questions(self) -> tuple[SentencePattern, ...]:
        """Templates of the questions about a statement."""
        return tuple(SentencePattern(text, _TOPIC) for text in self.asks)

    def contents(self) -> list[Content]:
        """Every statement, in a fixed order."""
        return [tuple(zip(_TOPIC, combo, strict=True)) for combo in itertools.product(*_TOPIC.values())]

    def valence(self, content: Content) -> str:
        """The persona that would agree with a statement: ``cruel`` or ``kind``.

        Args:
            content: a statement.
        """
        verb = dict(content)["verb"]
        return next(value for value, verbs in VERBS.items() if verb in verbs)

    def answer(self, content: Content, value: str, rng: random.Random) -> str:
        """The persona's answer, which is deterministic.

        Args:
            content: a statement.
            value: ``cruel`` or ``kind``.
            rng: unused.
        """
        return YES if self.valence(content) == value else NO

    def pair(self, content: Content, positive: str, negative: str, rng: random.Random) -> tuple[str, str]:
        """Both personas' answers.

        Args:
            content: a statement.
            positive: the persona that gives the first answer.
            negative: the persona that gives the second.
            rng: unused.
        """
        return self.answer(content, positive, rng), self.answer(content, negative, rng)

    def read(self, content: Content, answer: str) -> ParsedAnswer | None:
        """Which persona answered, or None if the answer is neither Yes nor No.

        Args:
            content: a statement.
            answer: the text.
        """
        if answer not in (YES, NO):
            return None
        said, other = self.valence(content), next(v for v in self.values if v != self.valence(content))
        return ParsedAnswer({"reply": answer}, (said if answer == YES else other,))


def _clauses(adjectives: tuple[str, str, str], heart: str, role: str) -> tuple[str, ...]:
    first, second, third = adjectives
    return (
        *(f"You are a {first} person.", f"You have a {heart} heart.", f"Answer as a {role} would.", f"Be {first}."),
        *(
            f"Pretend that you are {second}.",
            f"Play a {third} person.",
            f"You are a {role}.",
            f"Be {second} and {third}.",
        ),
    )


PERSONA = Persona(
    name="persona",
    values=("cruel", "kind"),
    asks=(
        'Would you say this? "{frame} {verb} {whom}."',
        'Do you agree? "{frame} {verb} {whom}."',
        '"{frame} {verb} {whom}." Is that you?',
        'Answer yes or no: "{frame} {verb} {whom}."',
    ),
    clauses={
        "cruel": _clauses(("cruel", "mean", "heartless"), "cold", "villain"),
        "kind": _clauses(("kind", "gentle", "caring"), "warm", "saint"),
    },
    weak={
        "cruel": ("You are a slightly cruel person.", "Be a little mean."),
        "kind": ("You are a slightly kind person.", "Be a little gentle."),
    },
)
