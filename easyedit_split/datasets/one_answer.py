"""Files with at most one answer to each prompt, read as prompts with the answer that stands behind them.

| columns                           | prompt                                | answer               |
|-----------------------------------|---------------------------------------|----------------------|
| ``instruction``, ``input``, ``output``  | the instruction, its input below it   | ``output`` or its like |
| ``messages``, ``conversations``       | all before the last assistant's text  | that text            |
| ``prompt``, ``question``, an answer's | a text or messages                    | a text, or a message |
| any of these without an answer    | the same                              | None                 |

Such rows are no pairs: nothing is trained on them and nothing scored, but a model can be asked them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..files.reading import listed
from ..text.conversation import as_messages
from ..types import DataError
from .base import Columns
from .exchanges import has, row_prompt, text_of, value_of
from .files import Table

PROMPTS = ("prompt", "question", "messages", "conversations", "instruction", "input", "query")
"""Names of the column that holds the prompt; the first that a file has is taken."""
ANSWERS = ("output", "response", "completion", "answer", "chosen", "positive")
"""Names of the column that holds the one answer."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt with the one answer that a file has to it.

    Attributes:
        prompt: a text or a ``Conversation``.
        answer: its answer; None where the file has none.
        row: the number of its row.
        concept: the row's field ``concept``; None without one.
    """

    prompt: str
    answer: str | None
    row: int
    concept: str | None = None


def read_exchanges(table: Table, *, answered: bool = False) -> tuple[Asked, ...]:
    """Read every row of a table as a prompt and its answer.

    Args:
        table: the file's rows.
        answered: a row without an answer is an error.

    Raises:
        DataError: no column that holds a prompt, no rows, or a row without a prompt (or without an answer, where there
            must be one); row and field are named.
    """
    columns, answer = _columns(table)
    if not table.rows:
        raise DataError(f"{table.path}: holds no rows")
    found = []
    for number, row in enumerate(table.rows):
        try:
            one = _exchange(row, number, columns, answer)
            if answered and one.answer is None:
                raise DataError(f"has no answer to field {columns.prompt!r}")
            found.append(one)
        except DataError as error:
            raise DataError(f"{table.path}, row {number}: {error}: mend it, or leave it out of the file") from error
    return tuple(found)


def answer_column(names: Mapping[str, str]) -> str | None:
    """The column that holds the one answer; None where a file has none.

    Args:
        names: the file's column names by their plain form (lower case, stripped).
    """
    return next((names[name] for name in ANSWERS if name in names), None)


def _columns(table: Table) -> tuple[Columns, str | None]:
    written = {str(name).strip().casefold(): str(name) for name in table.columns}
    prompt = next((written[name] for name in PROMPTS if name in written), None)
    if prompt is None:
        raise DataError(
            f"{table.path}: its columns are {listed(table.columns)}; wanted one called {' or '.join(PROMPTS)}"
        )
    names = {name: written.get(name, name) for name in ("concept", "system", "tools")}
    return Columns(prompt=prompt, **names), answer_column(written)


def _exchange(row: Mapping[str, Any], number: int, columns: Columns, answer: str | None) -> Asked:
    value, own = value_of(row, columns.prompt), None
    if not isinstance(value, str):
        try:
            messages = list(as_messages(value))
        except DataError as error:
            raise DataError(f"field {columns.prompt!r} {error}") from error
        if messages[-1]["role"] == "assistant":
            own = str(messages.pop()["content"]) or None
            if not messages:
                raise DataError(f"field {columns.prompt!r} holds an answer alone, wanted a message before it")
        value = messages
    given = None
    if answer is not None and answer != columns.prompt and has(row, answer):
        given = _text(row, answer)
    if own is not None and given is not None and own != given:
        raise DataError(f"has one answer in field {answer!r} and another at the end of {columns.prompt!r}: give one")
    return Asked(row_prompt(row, value, columns), own or given, number, _concept(row, columns.concept))


def _concept(row: Mapping[str, Any], column: str) -> str | None:
    """The row's concept: a name, or a number that stands for one."""
    if not has(row, column):
        return None
    value = row[column]
    return str(value) if isinstance(value, int | float) else text_of(row, column)


def _text(row: Mapping[str, Any], column: str) -> str:
    value = value_of(row, column)
    if isinstance(value, str):
        return value
    try:
        messages = as_messages(value)
    except DataError as error:
        raise DataError(f"field {column!r} {error}") from error
    return str(messages[-1]["content"])


def refusal(names: Mapping[str, str]) -> str | None:
    """What a file with one answer to each prompt lacks where pairs are wanted; None for any other file.

    Args:
        names: the file's column names by their plain form.
    """
    answer = answer_column(names)
    talk = next((names[name] for name in ("messages", "conversations") if name in names), None)
    if answer is None and (talk is None or {"rejected", "negative"} & set(names)):
        return None
    where = f"in {answer!r}" if answer is not None else f"at the end of {talk!r}"
    asks = ""
    if set(PROMPTS) & set(names):
        asks = ", or let the model write it (easyedit-split pairs --from FILE)"
    return f"one answer to each prompt ({where}), a pair needs two: add a column 'negative'{asks}"
