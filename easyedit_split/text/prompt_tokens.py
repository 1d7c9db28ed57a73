"""Token ids of prompts and answers, tokenised separately and concatenated, so that no token spans the boundary.

    row = prompt ids + answer ids        prompt = BOS? + template(system?, q)        answer = text + end token?

The opening that every prompt shares (BOS and the template's text before the user's words) is found once, by comparing
the ids of different user texts; ``prefix_lengths`` finds it again in any row. What ends an answer is read off a
finished exchange, not assumed to be EOS. BOS comes once, whether template, tokenizer or both would write it: texts are
rendered first and tokenised without special tokens (asking the chat template for ids gives a ``BatchEncoding`` on
transformers 5 and hides a second BOS).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from ..config import TokenConfig
from ..types import ConfigError, DataError
from .chat_template import Chat

Ids = tuple[int, ...]

# Different first characters: what their rendered prompts share is the template's, not theirs.
_USERS = ("Zq word", "7q word", "(q word", "\u201cq word", "\u00e9q word", "The word", "Is word", "a word")
_ANCHORS = ("\n", ".", "x")


def prefix_lengths(input_ids: Sequence[Sequence[int]], prefix_ids: Sequence[int], bos_id: int | None) -> Ids:
    """Length of each row's constant template prefix, found by comparing token ids; rows are without padding.

    The whole of ``prefix_ids``; else all of it but the last token, where that one merged into the user's text (a
    newline before a newline); else 1 where the row starts with BOS; else 0.

    Args:
        input_ids: rows of token ids without padding.
        prefix_ids: the constant template prefix that the chat template writes.
        bos_id: id of BOS; None where the tokenizer has none.
    """
    whole = tuple(prefix_ids)

    def length(row: Sequence[int]) -> int:
        for candidate in (whole, whole[:-1]):
            if len(candidate) > 0 and tuple(row[: len(candidate)]) == candidate:
                return len(candidate)
        return int(bos_id is not None and len(row) > 0 and row[0] == bos_id)

    return tuple(length(row) for row in input_ids)


def tokenizer_hash(tokenizer: Any) -> str:
    """SHA-256 over everything that determines token ids: the tokenizer's model, special tokens and chat template.

    Args:
        tokenizer: a Hugging Face tokenizer.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        model: Any = sorted(tokenizer.get_vocab().items())
    else:
        model = {k: v for k, v in json.loads(backend.to_str()).items() if k not in ("padding", "truncation")}
    specials = {key: str(value) for key, value in sorted(tokenizer.special_tokens_map.items())}
    canonical = json.dumps([model, specials, tokenizer.chat_template], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


class Template:
    """Converts the texts of a pair to token ids, for one tokenizer and one ``TokenConfig``.

    Args:
        tokenizer: a transformers tokenizer.
        config: chat template, system prompt, end token, row limit.

    Attributes:
        chat: the chat template in use, or None.
        bos_id: BOS, where the tokenizer or its template puts one in front; else None.
        prefix_ids: the opening all prompts share (see the module's docstring).
        end_ids: what ends an answer; empty without ``score_end``, or where the tokenizer knows no end.
        pad_id: an id to fill rows with; never used to tell where a row ends.

    Raises:
        ConfigError: no template though one is asked for, or a template that cannot be used.
    """

    def __init__(self, tokenizer: Any, config: TokenConfig) -> None:
        self.tokenizer = tokenizer
        self.config = config
        has_chat = bool(tokenizer.chat_template)
        if config.chat_template == "on" and not has_chat:
            raise ConfigError("chat_template is on, but the tokenizer has none: use auto or off, or give it one")
        self.chat = Chat(tokenizer, config.system) if has_chat and config.chat_template != "off" else None
        self._specials = _special_ids(tokenizer)
        self._lead = self._added_in_front()
        self._marks_words = self._after_anchor("x") != self._encode("x", plain=True)
        rows = [self._prompt(user) for user in _USERS]
        self._special_count = self._count_specials(rows[0])
        self.bos_id = self._find_bos(rows[0])
        self.prefix_ids = _common_prefix(rows)
        self.stop_ids = self._find_end()
        self.end_ids = self.stop_ids if config.score_end else ()
        candidates = (tokenizer.pad_token_id, tokenizer.eos_token_id, 0)
        self.pad_id: int = next(id_ for id_ in candidates if id_ is not None)

    def prompt(self, text: str) -> Ids:
        """Token ids of everything before the answer, for the query ``text``.

        Args:
            text: the query, plain text.

        Raises:
            DataError: the text holds a special token, which under a chat template would end the user's turn.
        """
        ids = self._prompt(text)
        if self._count_specials(ids) > self._special_count:
            raise DataError(f"holds text that the tokenizer reads as {self._named_special(text)}: remove it")
        return ids

    def conversation(self, text: str, earlier: Sequence[tuple[str, str]]) -> Ids:
        """Token ids of everything before the answer to ``text``, with earlier queries and their answers in front.

        Without a chat template, they stand a blank line apart.

        Args:
            text: the query.
            earlier: queries and answers, in order.

        Raises:
            DataError: a query holds a special token.
        """
        for query in (*(query for query, _ in earlier), text):
            self.prompt(query)
        if self.chat:
            return self._led(self._encode(self.chat.ask(text, earlier)))
        said = [part for exchange in earlier for part in exchange]
        return self._prompt("\n\n".join([*said, text]))

    def answer(self, text: str) -> Ids:
        """Token ids of an answer, tokenised separately from the prompt, with the end token where it is scored.

        Text that spells a special token is taken as plain text.

        Args:
            text: the answer, plain text.

        Raises:
            DataError: the tokenizer cannot read it as plain text, or it gives no token.
        """
        text = self.chat.answer_space + text if self.chat else text
        ids = self._after_anchor(text) if self._marks_words else self._encode(text, plain=True)
        if self._count_specials(ids) > 0:
            raise DataError(f"holds text that the tokenizer reads as {self._named_special(text)}: remove it")
        if not ids:
            raise DataError(f"{text!r} gives no token under this tokenizer: give another text")
        return ids + self.end_ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ``ids`` without special tokens.

        Args:
            ids: token ids.
        """
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def _encode(self, text: str, *, plain: bool = False) -> Ids:
        encoding = self.tokenizer(text, add_special_tokens=False, split_special_tokens=plain, verbose=False)
        return tuple(encoding["input_ids"])

    def _prompt(self, text: str) -> Ids:
        if self.chat:
            ids = self._encode(self.chat.ask(text))
        else:
            system = self.config.system
            ids = self._encode(text if system is None else f"{system}\n\n{text}", plain=True)
        return self._led(ids)

    def _led(self, ids: Ids) -> Ids:
        """``ids`` after the special tokens that the tokenizer adds before a text (BOS), without repeating them."""
        return ids if ids[: len(self._lead)] == self._lead else self._lead + ids

    def _added_in_front(self) -> Ids:
        """Special tokens that the tokenizer adds before a text (BOS), whatever it adds after it."""
        plain = self._encode("x")
        full = tuple(self.tokenizer("x", split_special_tokens=False, verbose=False)["input_ids"])
        for start in range(len(full) - len(plain) + 1):
            if full[start : start + len(plain)] == plain:
                return full[:start]
        return ()

    def _after_anchor(self, text: str) -> Ids:
        """Token ids of ``text`` as the tokenizer writes it after other text: without a leading word-boundary marker."""
        for anchor in _ANCHORS:
            alone, joined = self._encode(anchor, plain=True), self._encode(anchor + text, plain=True)
            if alone and joined[: len(alone)] == alone:
                return joined[len(alone) :]
        raise DataError(
            f"{text!r} cannot be tokenised apart from the prompt: its first token merges with the text before"
        )

    def _find_bos(self, row: Ids) -> int | None:
        first: int | None = self._lead[0] if self._lead else self.tokenizer.bos_token_id
        if first is None or row[:1] != (first,):
            return None
        if row[1:2] == (first,):
            raise ConfigError(f"the chat template writes BOS ({first}) twice: fix it, or set chat_template: off")
        return first

    def _find_end(self) -> Ids:
        for id_ in self._encode(self.chat.after_answer) if self.chat else ():
            if id_ in self._specials and id_ != self.bos_id:
                return (id_,)
        eos: int | None = self.tokenizer.eos_token_id
        return () if eos is None else (eos,)

    def _count_specials(self, ids: Ids) -> int:
        return sum(id_ in self._specials for id_ in ids)

    def _named_special(self, text: str) -> str:
        names = sorted(self.tokenizer.convert_ids_to_tokens(sorted(self._specials)), key=len, reverse=True)
        return "the special token " + next((repr(name) for name in names if name in text), "of another name")


def _common_prefix(rows: Sequence[Ids]) -> Ids:
    shared: list[int] = []
    for column in zip(*rows, strict=False):
        if len(set(column)) > 1:
            break
        shared.append(column[0])
    return tuple(shared)


def _special_ids(tokenizer: Any) -> frozenset[int]:
    """Ids of control tokens; the unknown token is included only if it is also BOS, EOS or the pad token."""
    control = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}
    marked = {id_ for id_, token in tokenizer.added_tokens_decoder.items() if token.special}
    ids = marked | set(tokenizer.all_special_ids) | control
    if tokenizer.unk_token_id not in control:
        ids.discard(tokenizer.unk_token_id)
    return frozenset(id_ for id_ in ids if id_ is not None)
