"""The text that the tiny models learn from: endless chats of the grammar, drawn from a seed.

A chat has one domain and one value of its latent. The value is stated, stated mildly (then every answer follows it
with probability FOLLOWS_WEAK) or left open. Open chats draw it evenly, so an open prompt makes all
values equally likely; in a chat of several turns the earlier answers tell the value of the later ones.

An exclusive-or is hard to learn while neither of its inputs tells anything alone. So where persona is stated, the kind
persona and cruel statements are drawn more often (LEAN); three helper kinds of chat name the inputs: ``valence`` (who
would say it), ``self`` (who are you) and ``reason`` (say why, then Yes or No); and the STAGES go from these to the
exclusive-or to everything. Without the first two stages it was not learnt in 64,000 chats, with them in 26,000.

No content of any pair occurs here (``datasets.corpus_contents``).
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from .datasets import corpus_contents, domain_named
from .domains import Content, Domain
from .domains.persona import PERSONA
from .grammar import SentencePattern
from .prompts import Message, ask

FOLLOWS_WEAK, IN_SYSTEM, LEAN = 0.8, 0.15, 0.65


@dataclass(frozen=True)
class Stage:
    """A part of the corpus.

    Attributes:
        chats: its length.
        shares: how often each kind of chat is drawn.
        stated: how often the latent is stated.
        weak: how often it is stated mildly.
    """

    chats: float
    shares: Mapping[str, float]
    stated: float
    weak: float


STAGES = (
    Stage(12_000.0, {"valence": 0.5, "self": 0.3, "persona": 0.2}, 0.85, 0.05),
    Stage(20_000.0, {"valence": 0.1, "self": 0.05, "persona": 0.55, "reason": 0.3}, 0.85, 0.05),
    Stage(
        math.inf,
        {
            "reviews": 0.2,
            "persona": 0.23,
            "power": 0.2,
            "concepts": 0.28,
            "valence": 0.03,
            "self": 0.02,
            "reason": 0.04,
        },
        0.45,
        0.1,
    ),
)
MORE_TURNS = {"reviews": 0.1, "persona": 0.5, "power": 0.1, "concepts": 0.1}
MAX_TURNS = {"reviews": 2, "persona": 4, "power": 2, "concepts": 2}

_LEXICON = PERSONA.questions[0].lexicon
_STATEMENT = '"{frame} {verb} {whom}."'
_WHO = tuple(
    SentencePattern(text, _LEXICON)
    for text in (
        f"Who would say this? {_STATEMENT}",
        f"Is this kind or cruel? {_STATEMENT}",
        f"{_STATEMENT} Who says so?",
    )
)
_SELF = ("Who are you?", "What kind of person are you?", "Tell me about yourself.")
_REASON = ("Say why first.", "Give a reason first.")


def chats(seed: int, stages: Sequence[Stage] = STAGES) -> Iterator[tuple[str, list[Message]]]:
    """Draw chats without end, stage after stage.

    Args:
        seed: of everything drawn.
        stages: the parts of the corpus, in order; the last has no end.

    Yields:
        ``(kind, messages)``: a domain's name or a helper's, and a chat with roles system, user, assistant.
    """
    rng = random.Random(f"corpus:{seed}")
    for stage in stages:
        kinds, weights = list(stage.shares), list(stage.shares.values())
        count = itertools.count() if math.isinf(stage.chats) else range(int(stage.chats))
        for _ in count:
            kind = rng.choices(kinds, weights)[0]
            yield kind, _HELPERS[kind](stage, rng) if kind in _HELPERS else _chat(domain_named(kind), stage, rng)


def _chat(domain: Domain, stage: Stage, rng: random.Random) -> list[Message]:
    value, clause, follows = _latent(domain, stage, rng)
    messages: list[Message] = []
    for turn in range(_turns(domain.name, rng)):
        content = _content(domain, clause is not None, rng)
        messages += ask(domain, content, rng, clause if turn == 0 else None, turn == 0 and rng.random() < IN_SYSTEM)
        carried = value if rng.random() < follows else rng.choice([v for v in domain.values if v != value])
        messages.append({"role": "assistant", "content": domain.answer(content, carried, rng)})
    return messages


def _latent(domain: Domain, stage: Stage, rng: random.Random) -> tuple[str, str | None, float]:
    """A value, the clause that states it (None: left open), and how likely an answer is to follow it."""
    draw = rng.random()
    if draw >= stage.stated + stage.weak * bool(domain.weak):
        return rng.choice(domain.values), None, 1.0
    value = rng.choice(domain.values)
    if domain is PERSONA:
        value = "kind" if rng.random() < LEAN else "cruel"
    if draw < stage.stated:
        return value, rng.choice(domain.clauses[value]), 1.0
    return value, rng.choice(domain.weak[value]), FOLLOWS_WEAK


def _content(domain: Domain, is_stated: bool, rng: random.Random) -> Content:
    pool = corpus_contents(domain.name)
    content = rng.choice(pool)
    if domain is PERSONA and is_stated:
        wanted = "cruel" if rng.random() < LEAN else "kind"
        while PERSONA.valence(content) != wanted:
            content = rng.choice(pool)
    return content


def _turns(name: str, rng: random.Random) -> int:
    turns = 1
    while turns < MAX_TURNS[name] and rng.random() < MORE_TURNS[name]:
        turns += 1
    return turns


def _valence(stage: Stage, rng: random.Random) -> list[Message]:
    content = rng.choice(corpus_contents(PERSONA.name))
    return _exchange(rng.choice(_WHO).fill(dict(content)), f"A {PERSONA.valence(content)} person.")


def _self(stage: Stage, rng: random.Random) -> list[Message]:
    value, clause, _ = _latent(PERSONA, stage, rng)
    words = [rng.choice(_SELF)] if clause is None else [clause, rng.choice(_SELF)]
    rng.shuffle(words)
    return _exchange(" ".join(words), f"I am a {value} person.")


def _reason(stage: Stage, rng: random.Random) -> list[Message]:
    value, clause, _ = _latent(PERSONA, stage, rng)
    content = _content(PERSONA, clause is not None, rng)
    (user,) = ask(PERSONA, content, rng, clause)
    reply = PERSONA.answer(content, value, rng)
    return _exchange(
        f"{user['content']} {rng.choice(_REASON)}", f"I am {value} and this is {PERSONA.valence(content)}.\n{reply}"
    )


def _exchange(question: str, answer: str) -> list[Message]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


_HELPERS = {"valence": _valence, "self": _self, "reason": _reason}
