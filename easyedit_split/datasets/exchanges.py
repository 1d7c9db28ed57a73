"""One row's prompt and two answers, from texts, from lists of messages or from a transcript.

| prompt                      | answers                                   | whose                                   |
|-----------------------------|-------------------------------------------|-----------------------------------------|
| text or messages            | texts, or one assistant's message each    | TRL, ShareGPT's and Alpaca's preferences |
| none, text or messages      | whole conversations with one beginning    | TRL's implicit prompts, UltraFeedback   |
| none                        | transcripts, ``Human: ... Assistant: ...``   | HH-RLHF                                 |

A column ``system`` is the system message; ``tools``, and ``input`` and ``history`` of Alpaca's files, belong to the
prompt.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from ..text.conversation import as_messages, as_prompt, is_messages, require_whole
from ..types import DataError
from .base import Columns

INSTRUCTION = "instruction"
_TURN = re.compile(r"(?:^|\n\n)(Human|Assistant):[ \t]*")
_ROLES = {"Human": "user", "Assistant": "assistant"}


def exchange_of(row: Mapping[str, Any], columns: Columns) -> tuple[str, str, str]:
    """Prompt, positive and negative answer of a row.

    Args:
        row: one row of a file.
        columns: which of its fields hold them; an empty prompt's name where the answers hold it.

    Raises:
        DataError: a missing, empty or unreadable field (named), or answers of two conversations.
    """
    answers = [value_of(row, column) for column in (columns.positive, columns.negative)]
    head, texts = _split(answers, columns)
    said = value_of(row, columns.prompt) if columns.prompt else None
    if head is None and said is None:
        raise DataError(
            f"fields {columns.positive!r} and {columns.negative!r} hold no prompt (neither messages nor Human: and "
            "Assistant:): add a column 'prompt'"
        )
    prompt = said if head is None else _agreed(said, head, columns)
    return row_prompt(row, prompt, columns), texts[0], texts[1]


def row_prompt(row: Mapping[str, Any], value: Any, columns: Columns) -> str:
    """The prompt of a row: a text or a conversation, with the row's system message and tools.

    Args:
        row: one row of a file.
        value: its prompt as the field holds it.
        columns: names of the fields.

    Raises:
        DataError: not a prompt; the field is named.
    """
    name = columns.prompt or columns.positive
    system = text_of(row, columns.system) if has(row, columns.system) else None
    if columns.prompt.strip().casefold() == INSTRUCTION and isinstance(value, str):
        value = _alpaca(row, value)
    try:
        return as_prompt(value, system=system, tools=_tools(row.get(columns.tools)))
    except DataError as error:
        raise DataError(f"field {name!r} {error}") from error


def has(row: Mapping[str, Any], column: str) -> bool:
    """Whether a row holds something in an optional field.

    Args:
        row: one row of a file.
        column: the field's name.
    """
    value = row.get(column)
    return not (is_missing(value) or value == "")


def is_missing(value: Any) -> bool:
    """Whether a field holds nothing: null, or NaN as tables write it.

    Args:
        value: of a field.
    """
    return value is None or (isinstance(value, float) and math.isnan(value))


def value_of(row: Mapping[str, Any], column: str) -> Any:
    """Text or messages in one field of a row.

    Args:
        row: one row of a file.
        column: the field's name.

    Raises:
        DataError: missing, empty, or neither text nor messages.
    """
    value = row.get(column)
    if is_messages(value) or (isinstance(value, Mapping) and ({"role", "from"} & set(value))):
        return value
    return text_of(row, column)


def text_of(row: Mapping[str, Any], column: str) -> str:
    """The text in one field of a row, which must not be empty.

    Args:
        row: one row of a file.
        column: the field's name.

    Raises:
        DataError: missing, empty, not text, or with half of a character.
    """
    value = row.get(column)
    if is_missing(value):
        raise DataError(f"field {column!r} is missing")
    if not isinstance(value, str):
        raise DataError(f"field {column!r} is a {type(value).__name__}, wanted text")
    if not value.strip():
        raise DataError(f"field {column!r} is empty")
    require_whole(value, f"field {column!r}")
    return value


def _split(answers: list[Any], columns: Columns) -> tuple[list[dict[str, Any]] | None, list[str]]:
    """The conversation that both answers begin with (None where they are answers alone), and the answers' texts."""
    names = (columns.positive, columns.negative)
    talks = []
    for name, value in zip(names, answers, strict=True):
        try:
            talks.append(transcript(value) if isinstance(value, str) and not columns.prompt else None)
            if not isinstance(value, str):
                talks[-1] = list(as_messages(value))
        except DataError as error:
            raise DataError(f"field {name!r} {error}") from error
    if talks == [None, None]:
        return None, answers
    texts = []
    for name, value, talk in zip(names, answers, talks, strict=True):
        if talk is None:
            if columns.prompt:  # one answer as a message, one as a text
                texts.append(value)
                continue
            raise DataError(f"field {name!r} holds no conversation while the other answer does: give both alike")
        if talk[-1]["role"] != "assistant" or not str(talk[-1]["content"]).strip():
            raise DataError(f"field {name!r} ends with a message of the {talk[-1]['role']}, wanted an assistant's text")
        texts.append(str(talk[-1]["content"]))
    heads = [[] if talk is None else talk[:-1] for talk in talks]
    if heads[0] != heads[1]:
        raise DataError(f"fields {names[0]!r} and {names[1]!r} are conversations that differ before their last message")
    return heads[0] or None, texts


def _agreed(said: Any, head: list[dict[str, Any]], columns: Columns) -> list[dict[str, Any]]:
    """The conversation before the answers, which must hold the prompt that is given apart."""
    if isinstance(said, str):
        fits = any(message["role"] == "user" and message["content"].strip() == said.strip() for message in head)
    else:
        fits = said is None or list(as_messages(said)) == head
    if not fits:
        raise DataError(
            f"field {columns.prompt!r} is not the question of the conversations in {columns.positive!r} and "
            f"{columns.negative!r}: make them agree, or leave {columns.prompt!r} out"
        )
    return head


def transcript(text: str) -> list[dict[str, Any]] | None:
    """Messages of a transcript with ``Human:`` and ``Assistant:`` after blank lines; None where it is none.

    Args:
        text: any text.
    """
    parts = _TURN.split(text)
    if len(parts) < 5 or parts[0].strip():
        return None
    return [{"role": _ROLES[who], "content": said.strip()} for who, said in zip(parts[1::2], parts[2::2], strict=True)]


def _alpaca(row: Mapping[str, Any], instruction: str) -> Any:
    """An instruction with its input (Dolly's context) below it, after the turns of its history."""
    below = next((text_of(row, name) for name in ("input", "context") if has(row, name)), None)
    text = instruction if below is None else f"{instruction}\n{below}"
    if not has(row, "history"):
        return text
    history = row["history"]
    turns = [turn for exchange in history for turn in exchange] if isinstance(history, list) else None
    if turns is None or len(turns) % 2 or not all(isinstance(turn, str) for turn in turns):
        raise DataError("field 'history' is not a list of [query, answer]: give texts")
    roles = ("user", "assistant")
    return [
        *({"role": roles[k % 2], "content": turn} for k, turn in enumerate(turns)),
        {"role": "user", "content": text},
    ]


def _tools(value: Any) -> Any:
    """Tools as a list; a text is read as JSON."""
    if is_missing(value) or value == "":
        return ()
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError as error:
        raise DataError(f"comes with tools that are not JSON ({error})") from error
    found = found.tolist() if hasattr(found, "tolist") else found
    if not isinstance(found, list) or not all(isinstance(tool, Mapping) for tool in found):
        raise DataError("comes with tools that are no list of descriptions")
    return found
