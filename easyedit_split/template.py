"""A pair as token ids: prompt and answers tokenised apart and joined, so that no merge crosses the seam.

    row = prompt ids + answer ids        prompt = BOS? + template(system?, q) + generation prompt
                                         answer = text (no special tokens inside) + end token?

The opening that every prompt shares (BOS and the template's text before the user's words) is found once, by rendering
different user texts and comparing ids; ``prefix_lengths`` finds it again in any row. What ends an answer is read off
a finished exchange, not assumed to be EOS. BOS comes once, whether template, tokenizer or both would write it.

Rendering goes through text (``tokenize=False``): asking the chat template for ids gives a ``BatchEncoding`` on
transformers 5 and hides a second BOS.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError

from .config import TokenConfig
from .types import ConfigError, DataError

Ids = tuple[int, ...]

# Ordinary words with different first characters: what their rendered prompts share is the template's, not theirs.
_USERS = ("Zq word", "7q word", "(q word", "\u201cq word", "\u00e9q word", "The word", "Is word", "a word")
_ANSWER = "Xj word"
_ANCHORS = ("\n", ".", "x")
# Some templates write today's date into the system turn; rows must not change overnight.
_TEMPLATE_DATE = "26 Jul 2024"


def prefix_lengths(input_ids: Sequence[Sequence[int]], prefix_ids: Sequence[int], bos_id: int | None) -> Ids:
    """Length of the constant opening of each row, found by comparing ids; rows are without padding.

    The whole of ``prefix_ids``; else all of it but the last token, where that one merged into the user's text (a
    newline before a newline); else 1 where the row starts with BOS; else 0.
    """
    whole = tuple(prefix_ids)

    def length(row: Sequence[int]) -> int:
        for candidate in (whole, whole[:-1]):
            if len(candidate) > 0 and tuple(row[: len(candidate)]) == candidate:
                return len(candidate)
        return int(bos_id is not None and len(row) > 0 and row[0] == bos_id)

    return tuple(length(row) for row in input_ids)


def common_prefix(rows: Sequence[Sequence[int]]) -> Ids:
    """The longest run of ids that all ``rows`` start with."""
    shared: list[int] = []
    for column in zip(*rows, strict=False):
        if len(set(column)) > 1:
            break
        shared.append(column[0])
    return tuple(shared)


def tokenizer_hash(tokenizer: Any) -> str:
    """SHA-256 over everything that decides ids: the tokenizer's model, its special tokens and its chat template."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        model: Any = sorted(tokenizer.get_vocab().items())
    else:
        model = json.loads(backend.to_str())
        model = {key: value for key, value in model.items() if key not in ("padding", "truncation")}
    specials = {key: str(value) for key, value in sorted(tokenizer.special_tokens_map.items())}
    canonical = json.dumps([model, specials, tokenizer.chat_template], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


class Template:
    """Turns the texts of a pair into ids under one tokenizer and one ``TokenConfig``.

    Args:
        tokenizer: a transformers tokenizer.
        config: chat template, system prompt, end token, row limit.

    Attributes:
        chat: whether the tokenizer's chat template is used.
        bos_id: BOS, where the tokenizer or its template puts one in front; else None.
        prefix_ids: the opening all prompts share (see the module's docstring).
        end_ids: what ends an answer; empty without ``score_end``.
        pad_id: an id to fill rows with; never used to tell where a row ends.

    Raises:
        ConfigError: no template though one is asked for, or a template that cannot be used.
    """

    def __init__(self, tokenizer: Any, config: TokenConfig) -> None:
        self.tokenizer = tokenizer
        self.config = config
        self.chat = self._wants_chat()
        self._specials = _special_ids(tokenizer)
        self._lead = self._added_in_front()
        self._folds_system = self.chat and config.system is not None and not self._template_takes_system()
        self._answer_space, self._answer_opening = self._before_answer() if self.chat else ("", "")
        self._joins_words = self._writes_word_start()
        rows = [self._prompt(user) for user in _USERS]
        self._special_count = self._count_specials(rows[0])
        self.bos_id = self._find_bos(rows[0])
        self.prefix_ids = common_prefix(rows)
        self.end_ids = self._find_end() if config.score_end else ()
        candidates = (tokenizer.pad_token_id, tokenizer.eos_token_id, 0)
        self.pad_id: int = next(id_ for id_ in candidates if id_ is not None)

    def prompt(self, text: str) -> Ids:
        """Ids of everything before the answer, for the query ``text``.

        Raises:
            DataError: the text holds a special token, which under a chat template would end the user's turn.
        """
        ids = self._prompt(text)
        if self._count_specials(ids) > self._special_count:
            raise DataError(f"holds text that the tokenizer reads as {self._named_special(text)}: remove it")
        return ids

    def answer(self, text: str) -> Ids:
        """Ids of an answer tokenised apart, and the end token where it is scored.

        Text that spells a special token is taken as plain text.

        Raises:
            DataError: the tokenizer cannot read it as plain text, or nothing is left of it.
        """
        ids = self._continuation(self._answer_space + text)
        if self._count_specials(ids) > 0:
            raise DataError(f"holds text that the tokenizer reads as {self._named_special(text)}: remove it")
        if not ids:
            raise DataError(f"{text!r} is nothing to the tokenizer: no token is left of it")
        return ids + self.end_ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ``ids`` without special tokens."""
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    # --- rendering ---------------------------------------------------------------------------------------------

    def _wants_chat(self) -> bool:
        has = bool(self.tokenizer.chat_template)
        if self.config.chat_template == "on" and not has:
            raise ConfigError("chat_template is on, but the tokenizer has none: use auto or off, or give it one")
        return has and self.config.chat_template != "off"

    def _messages(self, user: str) -> list[dict[str, str]]:
        system = self.config.system
        if system is None:
            return [{"role": "user", "content": user}]
        if self._folds_system:
            return [{"role": "user", "content": f"{system}\n\n{user}"}]
        return [{"role": "system", "content": system}, {"role": "user", "content": user}]

    def _render(self, messages: list[dict[str, str]], *, open_answer: bool) -> str:
        dated = "date_string" in str(self.tokenizer.chat_template)
        constants = {"date_string": _TEMPLATE_DATE} if dated else {}
        text: str = self.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=open_answer, **constants
        )
        return text

    def _render_checked(self, user: str) -> str:
        try:
            text = self._render(self._messages(user), open_answer=True)
        except TemplateError as error:
            raise ConfigError(
                f"the tokenizer's chat template fails ({error}): mend it, or chat_template: off"
            ) from error
        if user.strip() not in text:
            raise ConfigError("the tokenizer's chat template does not show the user's text: use chat_template: off")
        return text

    def _template_takes_system(self) -> bool:
        self._folds_system = False
        assert self.config.system is not None
        try:
            text = self._render(self._messages(_USERS[0]), open_answer=True)
        except TemplateError:
            return False
        return self.config.system.strip() in text

    def _before_answer(self) -> tuple[str, str]:
        """What the template writes between the generation prompt and an answer: white space, or an opening text.

        Llama-2 writes a space, which belongs to the answer's first word; Qwen3 an empty block of thoughts.
        """
        asked, finished = self._render_checked(_USERS[0]), self._render_finished()
        if finished is None or not finished[0].startswith(asked):
            return "", ""
        between = finished[0][len(asked) :]
        return ("", between) if between.strip() else (between, "")

    def _render_finished(self) -> tuple[str, str] | None:
        """A finished exchange, split into what stands before and after the answer."""
        messages = [*self._messages(_USERS[0]), {"role": "assistant", "content": _ANSWER}]
        try:
            before, found, after = self._render(messages, open_answer=False).rpartition(_ANSWER)
        except TemplateError:
            return None
        return (before, after) if found else None

    # --- ids ---------------------------------------------------------------------------------------------------

    def _encode(self, text: str, *, plain: bool = False) -> Ids:
        encoding = self.tokenizer(text, add_special_tokens=False, split_special_tokens=plain, verbose=False)
        return tuple(encoding["input_ids"])

    def _added_in_front(self) -> Ids:
        """What the tokenizer itself puts before a text (BOS), whatever it may put after it."""
        plain = self._encode("x")
        full = tuple(self.tokenizer("x", split_special_tokens=False, verbose=False)["input_ids"])
        for start in range(len(full) - len(plain) + 1):
            if full[start : start + len(plain)] == plain:
                return full[:start]
        return ()

    def _prompt(self, text: str) -> Ids:
        if self.chat:
            ids = self._encode(self._render_checked(text) + self._answer_opening)
        else:
            system = self.config.system
            ids = self._encode(text if system is None else f"{system}\n\n{text}", plain=True)
        return ids if self._lead and ids[: len(self._lead)] == self._lead else self._lead + ids

    def _find_bos(self, row: Ids) -> int | None:
        bos: int | None = self.tokenizer.bos_token_id
        first = self._lead[0] if self._lead else bos
        if first is None or row[:1] != (first,):
            return None
        if row[1:2] == (first,):
            raise ConfigError(f"the chat template writes BOS ({first}) twice: mend it, or chat_template: off")
        return first

    def _find_end(self) -> Ids:
        finished = self._render_finished() if self.chat else None
        after = self._encode(finished[1]) if finished else ()
        for id_ in after:
            if id_ in self._specials and id_ != self.bos_id:
                return (id_,)
        eos: int | None = self.tokenizer.eos_token_id
        return () if eos is None else (eos,)

    def _writes_word_start(self) -> bool:
        """Whether a text tokenised apart gets a word mark that it would not have after other text."""
        return self._after_anchor("x") != self._encode("x", plain=True)

    def _after_anchor(self, text: str) -> Ids:
        for anchor in _ANCHORS:
            alone, joined = self._encode(anchor, plain=True), self._encode(anchor + text, plain=True)
            if alone and joined[: len(alone)] == alone:
                return joined[len(alone) :]
        raise DataError(f"{text!r} cannot be tokenised apart from the prompt: the tokenizer merges it backwards")

    def _continuation(self, text: str) -> Ids:
        return self._after_anchor(text) if self._joins_words else self._encode(text, plain=True)

    def _count_specials(self, ids: Ids) -> int:
        return sum(id_ in self._specials for id_ in ids)

    def _named_special(self, text: str) -> str:
        names = sorted(self.tokenizer.convert_ids_to_tokens(sorted(self._specials)), key=len, reverse=True)
        return "the special token " + next((repr(name) for name in names if name in text), "of another name")


def _special_ids(tokenizer: Any) -> frozenset[int]:
    """Ids that are control tokens; the unknown token is not one unless it doubles as one."""
    control = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}
    marked = {id_ for id_, token in tokenizer.added_tokens_decoder.items() if token.special}
    ids = marked | set(tokenizer.all_special_ids) | control
    if tokenizer.unk_token_id not in control:
        ids.discard(tokenizer.unk_token_id)
    return frozenset(id_ for id_ in ids if id_ is not None)
