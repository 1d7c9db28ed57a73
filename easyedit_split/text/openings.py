"""The constant opening of a prompt, found by token ids: BOS and what the chat template writes before the user's words.

    opening = before + (a system message, a date) + after        after is empty where nothing in between can vary

A model call brings ids alone. They are compared with the opening under the settings of training (``prefix_ids``), then
with ``openings``: without a system message, and with any other, whose end is known by the ids that follow it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

Ids: TypeAlias = tuple[int, ...]
Opening: TypeAlias = tuple[Ids, ...]
"""``(before, after)``."""

_DISTINCT = 4
"""Ids without a control token that are not expected inside a system message by chance."""


def prefix_lengths(
    input_ids: Sequence[Sequence[int]], prefix_ids: Sequence[int], bos_id: int | None, openings: Sequence[Opening] = ()
) -> Ids:
    """Length of each row's constant template prefix, found by comparing token ids; rows are without padding.

    The whole of ``prefix_ids``, or of one of ``openings``; else all of it but the last token, where that one merged
    into the user's text (a newline before a newline); else 1 where the row starts with BOS; else 0.

    Args:
        input_ids: rows of token ids without padding.
        prefix_ids: the constant template prefix that the chat template writes.
        bos_id: id of BOS; None where the tokenizer has none.
        openings: other forms of it, see ``find_opening``.
    """
    return tuple(
        found if found is not None else int(bos_id is not None and len(row) > 0 and row[0] == bos_id)
        for row, found in ((row, opening_length(row, prefix_ids, openings)) for row in input_ids)
    )


def opening_length(row: Sequence[int], prefix_ids: Sequence[int], openings: Sequence[Opening] = ()) -> int | None:
    """Length of the longest known opening that a row begins with; None where it begins with none.

    Args:
        row: token ids without padding.
        prefix_ids: an opening.
        openings: others.
    """
    ids, known = tuple(row), ((tuple(prefix_ids), ()), *openings)
    whole = [_length(ids, before, after) for before, after in known]
    short = [_length(ids, *((before, after[:-1]) if after else (before[:-1], ()))) for before, after in known]
    return next((found for found in (max(whole), max(short)) if found), None)


def find_opening(found: Sequence[Ids], special: Callable[[int], bool]) -> Opening | None:
    """What renderings of one opening share, as ``(before, after)``; None where its end cannot be told.

    Args:
        found: the opening with different texts in the place that varies; one, or equal ones, where there is none.
        special: whether an id is a control token.
    """
    if len(set(found)) == 1:
        return (found[0], ()) if found[0] else None
    before = common_prefix(found)
    after = common_prefix([ids[len(before) :][::-1] for ids in found])[::-1]
    told = any(map(special, after)) or len(after) >= _DISTINCT
    return (before, after) if before and told else None


def common_prefix(rows: Sequence[Ids]) -> Ids:
    """Ids that all rows begin with.

    Args:
        rows: token ids.
    """
    shared: list[int] = []
    for column in zip(*rows, strict=False):
        if len(set(column)) > 1:
            break
        shared.append(column[0])
    return tuple(shared)


def _length(ids: Ids, before: Ids, after: Ids) -> int:
    if not before or ids[: len(before)] != before:
        return 0
    if not after:
        return len(before)
    for start in range(len(before), len(ids) - len(after) + 1):
        if ids[start : start + len(after)] == after:
            return start + len(after)
    return 0


def special_ids(tokenizer: Any) -> frozenset[int]:
    """Ids of control tokens; the unknown token is included only if it is also BOS, EOS or the pad token.

    Args:
        tokenizer: a Hugging Face tokenizer.
    """
    control = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}
    marked = {id_ for id_, token in tokenizer.added_tokens_decoder.items() if token.special}
    ids = marked | set(tokenizer.all_special_ids) | control
    if tokenizer.unk_token_id not in control:
        ids.discard(tokenizer.unk_token_id)
    return frozenset(id_ for id_ in ids if id_ is not None)
