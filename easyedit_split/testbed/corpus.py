"""The text that the tiny models learn from: endless chats of the grammar, drawn from a seed.

A chat has one domain and one value of its latent, drawn evenly. The value is stated (STATED), stated mildly (WEAK;
then every answer follows it with probability FOLLOWS_WEAK) or left open; so an open prompt makes all values equally
likely, and in a chat of several turns the earlier answers tell the value of the later ones. A second kind of chat asks
who would say a statement, which teaches the valence behind persona's exclusive-or.

No content of any pair occurs here (``datasets.corpus_contents``).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from easyedit_split.testbed.datasets import DATASETS, corpus_contents, find
from easyedit_split.testbed.domains import Content, Domain
from easyedit_split.testbed.domains.persona import PERSONA
from easyedit_split.testbed.grammar import Template
from easyedit_split.testbed.prompts import Message, ask

STATED, WEAK, FOLLOWS_WEAK = 0.45, 0.1, 0.8
IN_SYSTEM = 0.15
SHARES = {"reviews": 0.17, "persona": 0.35, "power": 0.17, "concepts": 0.23, "valence": 0.08}
MORE_TURNS = {"reviews": 0.1, "persona": 0.5, "power": 0.1, "concepts": 0.1}
MAX_TURNS = {"reviews": 2, "persona": 4, "power": 2, "concepts": 2}

_STATEMENT = '"{frame} {verb} {whom}."'
_WHO = ("Who would say this? " + _STATEMENT, "Is this kind or cruel? " + _STATEMENT, _STATEMENT + " Who says so?")
_VALENCE_QUESTIONS = tuple(Template(text, PERSONA.questions[0].lexicon) for text in _WHO)


def chats(seed: int) -> Iterator[tuple[str, list[Message]]]:
    """Draw chats without end.

    Yields:
        ``(kind, messages)``: the domain's name (or ``valence``) and a chat with roles system, user, assistant.
    """
    rng = random.Random(f"corpus:{seed}")
    pools = {name: corpus_contents(name) for name in DATASETS}
    kinds, weights = list(SHARES), list(SHARES.values())
    while True:
        kind = rng.choices(kinds, weights)[0]
        if kind == "valence":
            yield kind, _valence(rng.choice(pools["persona"]), rng)
        else:
            yield kind, _chat(find(kind), pools[kind], rng)


def _chat(domain: Domain, pool: Sequence[Content], rng: random.Random) -> list[Message]:
    value = rng.choice(domain.values)
    clause, follows = _clause(domain, value, rng)
    messages: list[Message] = []
    for turn in range(_turns(domain.name, rng)):
        content = rng.choice(pool)
        first = turn == 0
        messages += ask(domain, content, rng, clause if first else None, first and rng.random() < IN_SYSTEM)
        carried = value if rng.random() < follows else rng.choice([v for v in domain.values if v != value])
        messages.append({"role": "assistant", "content": domain.answer(content, carried, rng)})
    return messages


def _clause(domain: Domain, value: str, rng: random.Random) -> tuple[str | None, float]:
    """The clause that states ``value`` (None: left open) and the probability with which answers follow it."""
    draw = rng.random()
    if draw < STATED:
        return rng.choice(domain.clauses[value]), 1.0
    if draw < STATED + WEAK and value in domain.weak:
        return rng.choice(domain.weak[value]), FOLLOWS_WEAK
    return None, 1.0


def _turns(name: str, rng: random.Random) -> int:
    turns = 1
    while turns < MAX_TURNS[name] and rng.random() < MORE_TURNS[name]:
        turns += 1
    return turns


def _valence(content: Content, rng: random.Random) -> list[Message]:
    question = rng.choice(_VALENCE_QUESTIONS).fill(dict(content))
    answer = f"A {PERSONA.valence(content)} person."
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
