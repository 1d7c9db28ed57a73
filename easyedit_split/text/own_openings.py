"""The constant opening of one conversation, found where its messages are known and not only its token ids.

    opening = BOS + the template's text in front of the first user's words, its system message among them

Templates of Mistral's kind write a system message into the user's *last* turn. In a conversation of one turn it is part
of the opening. Behind an earlier turn it is not the beginning of a prompt, and is steered like the words around it:
``skip_prefix`` leaves out a beginning, which is what a call of the model can be read for. In such a template no token
ends a system message, so in a call that brings ids alone one that training did not have cannot be told from the user's
words. Both are said.
"""

from __future__ import annotations

import logging
from functools import lru_cache

from .conversation import Conversation
from .openings import Ids, opening_length, prefix_lengths
from .prompt_tokens import Template

logger = logging.getLogger(__name__)

UNTOLD = (
    "no token ends a system message in this chat template (it stands in the user's turn, or in plain words): in your "
    "own calls of the model (model.generate) one that training did not have is steered as the user's words are; apply "
    "and es.generate leave it alone"
)


def own_opening_length(template: Template, text: str, ids: Ids) -> int:
    """Tokens of a prompt's constant opening: that of this conversation, else any that the template writes, else BOS.

    Args:
        template: that made the ids.
        text: the query, or a ``Conversation``.
        ids: the prompt's token ids.
    """
    found = opening_length(ids, template.opening_of(text))
    if found is not None:
        return found
    return prefix_lengths([ids], template.prefix_ids, template.bos_id, template.openings)[0]


def is_behind_a_turn(template: Template, text: str, ids: Ids) -> bool:
    """Whether a prompt's system message (or its tools) stands behind an earlier turn, outside of its opening.

    Args:
        template: that made the ids.
        text: the query, or a ``Conversation``.
        ids: the prompt's token ids.
    """
    if template.chat is None or not isinstance(text, Conversation):
        return False
    given = text.system is not None or bool(text.tools) or template.config.system is not None
    return given and opening_length(ids, template.opening_of(text)) is None


def behind_a_turn(count: int, of: int) -> str:
    """The sentence for prompts of which ``is_behind_a_turn`` holds.

    Args:
        count: how many they are.
        of: of how many.
    """
    return (
        f"in {count} of {of} prompts the chat template writes the system message (or tools) behind an earlier turn: "
        "it is steered as the conversation around it, for skip_prefix leaves out a prompt's beginning alone"
    )


@lru_cache(maxsize=8)
def hides_system(template: Template) -> bool:
    """Whether the template shows system messages whose end no token tells.

    Args:
        template: of one tokenizer.
    """
    if template.chat is None or not template.chat.takes_system("Be brief."):
        return False
    told = any(after for _, after in template.openings)
    return not told


@lru_cache(maxsize=8)
def say_hidden_system(template: Template) -> None:
    """Warn, once for a template, where it ``hides_system``.

    Args:
        template: of one tokenizer.
    """
    if hides_system(template):
        logger.warning("%s", UNTOLD)
