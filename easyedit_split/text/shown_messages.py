"""Whether a chat template shows all that a conversation holds: its messages, the functions it calls, its tools.

A template leaves out what it does not know (a role, a tool, thoughts of earlier answers) without a word; a model would
then answer another conversation than the one that was given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jinja2 import TemplateError

from ..types import DataError
from .conversation import Conversation

FAILURES = (TemplateError, TypeError, ValueError)
"""What a template raises that cannot take its messages."""


def require_shown(
    prompt: Conversation, messages: Sequence[Mapping[str, Any]], text: str, render: Callable[..., str]
) -> None:
    """Raise where the rendered text leaves out a message, a called function or a tool.

    Args:
        prompt: the conversation.
        messages: its messages as the template was given them.
        text: what it made of them.
        render: renders other messages: ``render(messages, tools, open_answer=True)``.

    Raises:
        DataError: so it does; the sentence goes on from the field's name.
    """
    marked = [{**m, "content": f"Mk{k} word" if m["content"].strip() else ""} for k, m in enumerate(messages)]
    try:
        marks = render(marked, prompt.tools, open_answer=True)
    except FAILURES:  # a template may read a message's content as data
        marks = None
    for number, (message, mark) in enumerate(zip(messages, marked, strict=True)):
        if message["content"].strip() not in text or (marks is not None and mark["content"] not in marks):
            raise DataError(
                f"has a message {number} ({message['role']}) that the chat template does not show: leave it out, or "
                "set chat_template: off"
            )
    names = [_name(call) for message in prompt.messages for call in message.get("tool_calls", ())]
    for name in (*names, *(_name(tool) for tool in prompt.tools)):
        if name not in text:
            raise DataError(f"names the tool {name[:40]!r}, which the chat template does not show: leave it out")


def tools_of(prompt: str) -> tuple[Mapping[str, Any], ...]:
    """The tools that a conversation offers; none of a text.

    Args:
        prompt: a text or a ``Conversation``.
    """
    return prompt.tools if isinstance(prompt, Conversation) else ()


def _name(tool: Mapping[str, Any]) -> str:
    return str(tool.get("function", tool).get("name", ""))
