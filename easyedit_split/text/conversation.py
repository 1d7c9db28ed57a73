"""A prompt that is a conversation: messages with roles, as chat templates take them; as a text, its readable form.

    {"role": "system", "content": "Be brief."}        ->   system: Be brief.
    {"role": "user", "content": "Do you like rain?"}       user: Do you like rain?

Whatever reads a prompt as text (a table, a judge, a hash) reads that form; lines of a message after its first are
indented, so that no two conversations have the same. Turning it into tokens needs a chat template.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..types import DataError

_INDENT = "    "
_SHAREGPT = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "observation": "tool"}
"""Roles of ShareGPT's files by the names that they have there; any other is taken as it is."""


class Conversation(str):
    """Messages before an answer, the last of them not the assistant's; as a ``str``, their readable form.

    Attributes:
        messages: the messages, in order.
        tools: the tools; empty for none.
    """

    messages: tuple[Mapping[str, Any], ...]
    tools: tuple[Mapping[str, Any], ...]

    def __new__(cls, messages: Iterable[Mapping[str, Any]], tools: Iterable[Mapping[str, Any]] = ()) -> Conversation:
        """Keep the messages and write their readable form.

        Args:
            messages: mappings with ``role`` and ``content``, and what else the template reads (``tool_calls`` ...).
            tools: descriptions of tools that the chat template writes into the prompt.
        """
        said, offered = tuple(messages), tuple(tools)
        self = super().__new__(cls, "\n".join([*(f"tool offered: {_line(t)}" for t in offered), *map(_shown, said)]))
        self.messages, self.tools = said, offered
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:
        """Arguments that make it anew, for copies and pickles."""
        return self.messages, self.tools

    @property
    def system(self) -> str | None:
        """Text of the system message that it begins with; None without one."""
        first = self.messages[0]
        return str(first["content"]) if first["role"] == "system" else None


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _shown(message: Mapping[str, Any]) -> str:
    others = {key: value for key, value in message.items() if key not in ("role", "content")}
    text = f"{message['content']} {_line(others)}" if others else str(message["content"])
    return f"{message['role']}: " + text.replace("\n", "\n" + _INDENT)


def in_front(text: str, prompt: str) -> str:
    """A prompt with a text and a space before it; before the last message of a conversation.

    Args:
        text: what comes first.
        prompt: a text or a conversation.
    """
    if not isinstance(prompt, Conversation):
        return f"{text} {prompt}"
    *earlier, last = prompt.messages
    return Conversation([*earlier, {**last, "content": f"{text} {last['content']}"}], prompt.tools)


def plain(prompt: str) -> Any:
    """A prompt as plain JSON values, which tell a conversation from a text that reads like it.

    Args:
        prompt: a text or a conversation.
    """
    if not isinstance(prompt, Conversation):
        return prompt
    return {"messages": [dict(message) for message in prompt.messages], "tools": [dict(tool) for tool in prompt.tools]}


def plain_all(prompts: Iterable[str]) -> list[Any]:
    """Prompts as plain JSON values.

    Args:
        prompts: texts and conversations.
    """
    return [plain(prompt) for prompt in prompts]


def as_prompt(value: Any, *, system: str | None = None, tools: Any = ()) -> str:
    """A prompt from a text or a list of messages; a lone user's message without a system message is its text.

    Args:
        value: a text; or messages with ``role`` and ``content``, or with ShareGPT's ``from`` and ``value``.
        system: a system message given apart, as a column; none where None or empty.
        tools: descriptions of tools, for the chat template.

    Returns:
        A text or a ``Conversation``.

    Raises:
        DataError: not messages, a message without role or text, one that is not text, two system messages, or the
            assistant's message last; the sentence goes on from the field's name.
    """
    if isinstance(value, Conversation):
        value, tools = value.messages, tools or value.tools
    messages = [{"role": "user", "content": value}] if isinstance(value, str) else list(as_messages(value))
    if system:
        own = messages[0]["content"] if messages[0]["role"] == "system" else None
        if own is not None and own != system:
            raise DataError("has a system message besides the system column's: give one of the two")
        messages = messages if own is not None else [{"role": "system", "content": system}, *messages]
    if messages[-1]["role"] in ("assistant", "system"):
        raise DataError(
            f"ends with a message of the {messages[-1]['role']}, wanted the user's: end it before the answer"
        )
    offered = list(_listed(tools) or ())
    if len(messages) == 1 and set(messages[0]) == {"role", "content"} and messages[0]["role"] == "user" and not offered:
        return str(messages[0]["content"])
    return Conversation(messages, offered)


def is_messages(value: Any) -> bool:
    """Whether a value is a list of messages, however they are named.

    Args:
        value: a field of a row.
    """
    found = _listed(value)
    return found is not None and len(found) > 0 and all(isinstance(item, Mapping) for item in found)


def as_messages(value: Any) -> tuple[dict[str, Any], ...]:
    """Messages with ``role`` and ``content`` from a list in that form or in ShareGPT's; one mapping is one message.

    Args:
        value: the list.

    Raises:
        DataError: not such a list; the sentence goes on from the field's name.
    """
    found = [value] if isinstance(value, Mapping) else _listed(value)
    if found is None or not found:
        raise DataError(f"is a {type(value).__name__}, wanted text or a list of messages with role and content")
    return tuple(_message(item, place) for place, item in enumerate(found))


def _listed(value: Any) -> list[Any] | None:
    """A list, tuple or array as a list; None for anything else."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str | bytes) else None


def _message(item: Any, place: int) -> dict[str, Any]:
    where = f"has a message {place}"
    if not isinstance(item, Mapping):
        raise DataError(f"{where} that is a {type(item).__name__}, wanted role and content")
    names = ("role", "content") if "role" in item else ("from", "value")
    if names[0] not in item:
        keys = ", ".join(map(str, list(item)[:6]))
        raise DataError(f"{where} with the keys {keys}, wanted role and content (or from and value)")
    role, content = item[names[0]], item.get(names[1])
    if not isinstance(role, str) or not role.strip():
        raise DataError(f"{where} whose {names[0]} is {str(role)[:40]!r}, wanted a role such as user")
    role = _SHAREGPT.get(role, role) if names[0] == "from" else role
    others = {k: v for k, v in item.items() if k not in names and v is not None and not _empty(v)}
    text = _text(content, where, role)
    if not text.strip() and role != "system" and not others:
        raise DataError(f"{where} ({role}) that is empty: give it a text")
    require_whole(text, f"{where} ({role}) that")
    return {"role": role, "content": text, **others}


def _empty(value: Any) -> bool:
    return isinstance(value, str | list | tuple | dict) and len(value) == 0


def _text(content: Any, where: str, role: str) -> str:
    """A message's text; parts that are all text are joined."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    parts = _listed(content)
    if parts is None:
        raise DataError(f"{where} ({role}) whose content is a {type(content).__name__}, wanted text")
    for part in parts:
        kind = part.get("type", "text") if isinstance(part, Mapping) else type(part).__name__
        if kind != "text" or not isinstance(part.get("text"), str):
            raise DataError(f"{where} ({role}) with a part that is {str(kind)[:40]!r}, and only text can be read")
    return "".join(part["text"] for part in parts)


def require_whole(text: str, what: str) -> None:
    """Raise where a text holds half of a surrogate pair, which no encoding and no tokenizer takes.

    Args:
        text: any text.
        what: how the sentence begins.

    Raises:
        DataError: it does.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        half = f"\\u{ord(text[error.start]):04x}"
        raise DataError(
            f"{what} holds half of a character ({half} at place {error.start}), as of an emoji that was cut: mend it"
        ) from error
