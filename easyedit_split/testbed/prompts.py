"""Prompts of the testbed: a question with filler sentences around it, and a clause that states the latent or none.

    user = [small talk] [clause] question          or          [small talk] question [clause]

A clause may also stand in a system message; where a template has no system role it opens the user's turn instead.
"""

from __future__ import annotations

import random

from .domains import Content, Domain

SMALL_TALK = (
    *("Good morning.", "Good evening.", "Hello.", "I have a question.", "Please answer.", "Please help me."),
    *("Take your time.", "Be brief.", "Thank you.", "This is for my class."),
)
Message = dict[str, str]


def ask(
    domain: Domain, content: Content, rng: random.Random, clause: str | None = None, in_system: bool = False
) -> list[Message]:
    """Draw the messages that ask about ``content``, with the clause (if any) at a random position of the user's turn.

    Args:
        domain: the kind of chat.
        content: what to ask about.
        rng: draws the words and the clause's place.
        clause: a sentence that states the latent; None leaves it open.
        in_system: state it in the system role.
    """
    parts = [rng.choice(domain.questions).fill(dict(content))]
    if clause is not None and not in_system:
        parts.insert(rng.randrange(2), clause)
    if rng.random() < 0.5:
        parts.insert(rng.choice((0, len(parts))), rng.choice(SMALL_TALK))
    messages = [{"role": "user", "content": " ".join(parts)}]
    if clause is not None and in_system:
        messages.insert(0, {"role": "system", "content": clause})
    return messages


def fold_system(messages: list[Message]) -> list[Message]:
    """The same chat without a system role: its text precedes the first user turn, separated by a blank line.

    Args:
        messages: a chat, with or without a system role.
    """
    if messages[0]["role"] != "system":
        return messages
    system, user, *rest = messages
    return [{"role": "user", "content": f"{system['content']}\n\n{user['content']}"}, *rest]
