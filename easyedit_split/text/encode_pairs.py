"""Tokenisation of a dataset's pairs, with every row checked: an error names source, row and field.

    pair -> EncodedPair(prompt, positive, negative, prefix_length)        len(prompt + answer) <= max_length

Under a chat template one leading space of an answer is stripped (psychopathy's answers begin with one) and counted in
the notes. Nothing is cut unless ``too_long: cut`` asks for it, and then it is said; with ``drop_bad`` a bad row is left
out and named.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from ..types import BadRowError, DataError, Pair
from .batching import Row
from .conversation import Conversation, require_whole
from .openings import Ids
from .own_openings import behind_a_turn, is_behind_a_turn, own_opening_length
from .prompt_tokens import Template

__all__ = ["EncodedPair", "EncodedPairs", "encode_answers", "encode_pairs"]

logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EncodedPair:
    """One pair as token ids.

    Attributes:
        pair: the texts.
        prompt: ids of everything before the answer.
        positive: ids of the positive answer, end token included where it is scored.
        negative: ids of the negative answer, likewise.
        prefix_length: length of the prompt's constant template prefix.
        index: position in the source (its row number).
    """

    pair: Pair
    prompt: Ids
    positive: Ids
    negative: Ids
    prefix_length: int
    index: int


@dataclass(frozen=True, slots=True)
class EncodedPairs:
    """The pairs that could be tokenised, one sentence for each that was dropped, and notes on changes made to all.

    Attributes:
        rows: the pairs that can be used.
        dropped: one sentence for each that was dropped.
        notes: what was done to all.
    """

    rows: tuple[EncodedPair, ...]
    dropped: tuple[str, ...]
    notes: tuple[str, ...]


def encode_pairs(
    pairs: Sequence[Pair],
    template: Template,
    *,
    source: str,
    drop_bad: bool = False,
    indices: Sequence[int] | None = None,
    context: int | None = None,
) -> EncodedPairs:
    """Tokenise answer pairs; a row that cannot be tokenised is an error that names it and its field, or is dropped.

    Args:
        pairs: prompts with their two answers, as text.
        template: how the tokenizer writes a prompt and its answer.
        source: what the rows come from, for messages.
        drop_bad: leave bad rows out and name them, instead of raising at the first.
        indices: row number of each pair in its source; their positions here by default.
        context: the most tokens of a row that the model takes; None for no limit.

    Raises:
        DataError: an empty text, equal answers (as text or as ids), a row longer than ``max_length`` or the context, a
            special token inside a text; or no row left.
    """
    numbers = range(len(pairs)) if indices is None else indices
    rows: list[EncodedPair] = []
    dropped: list[str] = []
    cut: list[str] = []
    limit = template.config.max_length
    if context is not None and template.config.too_long == "cut":
        limit = min(limit, context)
    for number, pair in zip(numbers, pairs, strict=True):
        try:
            row = _encode_pair(pair, template, number)
            short = _cut(row, limit)
            row = short or row
            _require_fits(len(row.prompt) + max(len(row.positive), len(row.negative)), context)
            rows.append(row)
            cut += [str(number)] if short else []
        except DataError as error:
            sentence = f"{source}, row {number}: {error}"
            if not drop_bad:
                raise BadRowError(sentence) from error
            dropped.append(sentence)
    if dropped:
        named = "; ".join(dropped[:10]) + (f" and {len(dropped) - 10} more" if len(dropped) > 10 else "")
        logger.warning("dropped %d of %d rows: %s", len(dropped), len(pairs), named)
    if not rows:
        raise DataError(f"{source}: none of {len(pairs)} pairs can be used")
    if cut:
        named = ", ".join(cut[:10]) + (" ..." if len(cut) > 10 else "")
        logger.warning("%s: answers of %d rows are cut at %d tokens: rows %s", source, len(cut), limit, named)
    behind = sum(is_behind_a_turn(template, row.pair.prompt, row.prompt) for row in rows)
    if behind:
        logger.warning("%s: %s", source, behind_a_turn(behind, len(rows)))
    return EncodedPairs(tuple(rows), tuple(dropped), _notes(rows, template))


def _encode_pair(pair: Pair, template: Template, number: int) -> EncodedPair:
    prompt = {} if template.config.style == "easyedit2" and pair.prompt == "" else {"prompt": pair.prompt}
    _check_texts(**prompt, positive=pair.positive, negative=pair.negative)
    if pair.positive == pair.negative:
        raise DataError(f"positive and negative are the same answer, {_short(pair.positive)}: give two answers")
    asked = _field("prompt", template.prompt, pair.prompt)
    positive, negative = (
        _field(name, template.answer, _stripped(getattr(pair, name), template)) for name in ("positive", "negative")
    )
    for name in ("positive", "negative"):
        _field(name, lambda text: template.check_exchange(pair.prompt, text), _stripped(getattr(pair, name), template))
    if positive == negative:
        raise DataError(
            f"positive and negative are the same tokens, {_short(pair.positive)} and {_short(pair.negative)}: "
            "give two answers that the tokenizer tells apart"
        )
    prefix_length = _checked_prefix(pair.prompt, asked, max(len(positive), len(negative)), template)
    return EncodedPair(pair, asked, positive, negative, prefix_length, number)


def _require_fits(longest: int, context: int | None) -> None:
    """Raise where a row is longer than the model's context."""
    if context is not None and longest > context:
        raise DataError(f"{longest} tokens long, the model's context is {context}: shorten the text")


def _cut(row: EncodedPair, limit: int) -> EncodedPair | None:
    """The row with its answers cut at a number of tokens; None where it fits.

    Raises:
        DataError: nothing of an answer is left, or nothing that tells them apart.
    """
    room = limit - len(row.prompt)
    if max(len(row.positive), len(row.negative)) <= room:
        return None
    cut = replace(row, positive=row.positive[:room], negative=row.negative[:room])
    if room < 1 or cut.positive == cut.negative:
        raise DataError(f"cut at {limit} tokens, no two different answers are left: raise max_length")
    return cut


def encode_answers(
    exchanges: Sequence[tuple[str, str]],
    template: Template,
    *,
    source: str,
    indices: Sequence[int] | None = None,
    context: int | None = None,
) -> tuple[Row, ...]:
    """Tokenise queries with one answer each, for methods that need no pairs (``scoring.answer_means``).

    Args:
        exchanges: ``(query, answer)`` texts.
        template: how the tokenizer writes a prompt and its answer.
        source: what the rows come from, for messages.
        indices: row number of each exchange in its source; their positions here by default.
        context: the most tokens of a row that the model takes; None for no limit.

    Raises:
        DataError: an empty text, a row longer than ``max_length`` or the context, a special token inside a query.
    """
    rows: list[Row] = []
    numbers = range(len(exchanges)) if indices is None else indices
    for number, (query, answer) in zip(numbers, exchanges, strict=True):
        try:
            _check_texts(prompt=query, answer=answer)
            prompt = _field("prompt", template.prompt, query)
            ids = _field("answer", template.answer, _stripped(answer, template))
            _require_fits(len(prompt) + len(ids), context)
            rows.append(Row(prompt, ids, _checked_prefix(query, prompt, len(ids), template)))
        except DataError as error:
            raise DataError(f"{source}, row {number}: {error}") from error
    return tuple(rows)


def _check_texts(**texts: Any) -> None:
    for field, text in texts.items():
        if not isinstance(text, str):
            raise DataError(f"{field} is a {type(text).__name__}, wanted text")
        if not text.strip():
            raise DataError(f"{field} is empty: give it a text")
        require_whole(text, field)


def _checked_prefix(text: str, prompt: Ids, answer_length: int, template: Template) -> int:
    """Length of the prompt's constant template prefix, after a check that prompt and answer fit ``max_length``."""
    longest, limit = len(prompt) + answer_length, template.config.max_length
    if longest > limit and template.config.too_long == "refuse":
        raise DataError(
            f"{longest} tokens long, max_length is {limit}: raise it (--max-length, tokens.max_length) or shorten it"
        )
    return own_opening_length(template, text, prompt)


def _field(name: str, encode: Callable[[str], T], text: str) -> T:
    try:
        return encode(text)
    except DataError as error:
        raise DataError(f"{name} {error}") from error


def _stripped(answer: str, template: Template) -> str:
    stripped = template.chat is not None and template.config.strip_space
    return answer.removeprefix(" ") if stripped else answer


def _notes(rows: Sequence[EncodedPair], template: Template) -> tuple[str, ...]:
    answers = [answer for row in rows for answer in (row.pair.positive, row.pair.negative)]
    count = sum(_stripped(answer, template) != answer for answer in answers)
    notes = (
        [f"one leading space stripped from {count} of {len(answers)} answers (chat template in use)"] if count else []
    )
    own = sum(isinstance(p, Conversation) and p.system is not None for p in (row.pair.prompt for row in rows))
    if own and template.config.system is not None:
        notes.append(f"{own} of {len(rows)} prompts have a system message of their own, which replaces tokens.system")
    return tuple(notes)


def _short(text: str, width: int = 60) -> str:
    return repr(text if len(text) <= width else text[: width - 3] + "...")
