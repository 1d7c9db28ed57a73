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
from dataclasses import replace
from functools import cached_property
from typing import Any

from ..config import TokenConfig
from ..types import ConfigError, DataError
from .chat_template import Chat
from .conversation import Conversation, require_whole
from .easyedit2_prompts import EasyEdit2Chat, without_template
from .openings import Ids, Opening, common_prefix, find_opening, special_ids
from .shown_messages import tools_of
from .template_dates import DAY, OTHER_DAY, is_dated

# Different first characters: what their rendered prompts share is the template's, not theirs.
_USERS = ("Zq word", "7q word", "(q word", "\u201cq word", "\u00e9q word", "The word", "Is word", "a word")
# Different first and last characters, for the same reason.
_SYSTEMS = ("Zq word", "7q (x)", "\u201cq\u201d", "The end.", "Is it so?", "b\u00e9")
_ANCHORS = ("\n", ".", "x")


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
        self._chat = EasyEdit2Chat if config.style == "easyedit2" else Chat
        self.chat = self._chat(tokenizer, config) if has_chat and config.chat_template != "off" else None
        if config.template and self.chat is None:
            raise ConfigError(f"tokens.template holds {', '.join(config.template)}, but no chat template is in use")
        self._specials = special_ids(tokenizer)
        self._lead = self._added_in_front()
        self._marks_words = self._after_anchor("x") != self._encode("x", plain=True)
        self.prefix_ids = self._opening(self.chat, None)
        self.bos_id = self._find_bos(self._prompt(_USERS[0]))
        self.stop_ids = self._find_end()
        self.end_ids = self.stop_ids if config.score_end else ()
        self._own_openings: dict[str, Ids] = {}
        candidates = (tokenizer.pad_token_id, tokenizer.eos_token_id, 0)
        self.pad_id: int = next(id_ for id_ in candidates if id_ is not None)

    def prompt(self, text: str) -> Ids:
        """Token ids of everything before the answer, as it stands in a finished exchange (thoughts closed).

        Args:
            text: the query, plain text, or a ``Conversation``.

        Raises:
            DataError: a text holds a special token, which under a chat template would end the user's turn; a
                conversation that the chat template refuses or does not show.
        """
        self._check_prompt(text)
        return self._prompt(text)

    def generation_prompt(self, text: str, earlier: Sequence[tuple[str, str]] = ()) -> Ids:
        """Token ids behind which the model writes: ``prompt``'s, or with thoughts left open where they are asked for.

        Args:
            text: the query, plain text, or a ``Conversation``.
            earlier: queries and their answers in front of it; without a chat template they stand a blank line apart.

        Raises:
            DataError: as ``prompt``.
        """
        for query in (*(query for query, _ in earlier), text):
            self._check_prompt(query)
        if self.chat is None:
            return self._prompt(
                "\n\n".join([*(part for exchange in earlier for part in exchange), text]) if earlier else text
            )
        write = self.chat.generation_prompt if self.config.thinks else self.chat.ask
        return self._led(self._encode(write(text, earlier)))

    def opening_of(self, text: str) -> Ids:
        """The constant opening of a prompt: BOS, and the template's text before the user's words.

        Args:
            text: the query, or a ``Conversation``, whose own system message and tools are part of its opening.
        """
        if not isinstance(text, Conversation) or (text.system is None and not text.tools):
            return self.prefix_ids
        key = repr((text.system, text.tools))
        if key not in self._own_openings:
            self._own_openings[key] = self._opening(self.chat, text.system, tools_of(text))
        return self._own_openings[key]

    @cached_property
    def openings(self) -> tuple[Opening, ...]:
        """Other forms of the opening, by which calls are read: without or with another system message, dated."""
        if self.chat is None:
            return ()
        bare, dated = replace(self.config, system=None), is_dated(self.chat.source)
        days = (DAY, OTHER_DAY) if dated else (DAY,)
        plain, own = ([self._chat(self.tokenizer, config, day) for day in days] for config in (bare, self.config))
        rendered = (
            [self._opening(chat, None) for chat in own],
            [self._opening(chat, None) for chat in plain],
            [self._opening(plain[k % len(plain)], system) for k, system in enumerate(_SYSTEMS)],
        )
        found = [find_opening(kind, self._is_special) for kind in rendered]
        return tuple(dict.fromkeys(o for o in found if o is not None and o != (self.prefix_ids, ())))

    def answer(self, text: str, *, written: bool = False) -> Ids:
        """Token ids of an answer, tokenised separately from the prompt, with the end token where it is scored.

        Args:
            text: the answer, plain text.
            written: by a model: what spells a special token is its characters, for the tokens themselves are not shown.

        Raises:
            DataError: it holds a special token (unless ``special_tokens`` says how to read it), or gives no token.
        """
        if not written:
            self._check_text(text)
        text = self.chat.answer_space + text if self.chat else text
        plain = written or self.config.special_tokens != "read"
        ids = self._after_anchor(text) if self._marks_words and plain else self._encode(text, plain=plain)
        if plain and self._count_specials(ids) > 0:
            raise DataError(f"holds text that the tokenizer reads as {self._named_special(text)}: remove it")
        if not ids:
            raise DataError(f"{text!r} gives no token under this tokenizer: give another text")
        ended = bool(self.stop_ids) and ids[-len(self.stop_ids) :] == self.stop_ids
        return ids if ended else ids + self.end_ids

    def check_exchange(self, prompt: str, answer: str) -> None:
        """Raise where the chat template writes prompt and answer otherwise than side by side.

        Args:
            prompt: the query, or a ``Conversation``.
            answer: its answer.

        Raises:
            DataError: so it is, as of thoughts that the template drops.
        """
        if self.chat is not None and self.config.special_tokens != "read":
            self.chat.check_exchange(prompt, answer)

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
            return self._led(self._encode(self.chat.ask(text)))
        system = self.config.system
        if isinstance(text, Conversation):
            roles = [message["role"] for message in text.messages]
            if roles != ["system", "user"] or text.tools:
                raise DataError(
                    f"is a conversation ({', '.join(roles[:6])}), and no chat template is in use to write it: give the "
                    "tokenizer one (chat_template: auto), or a text"
                )
            system, text = text.system, text.messages[1]["content"]
        written = text if system is None else f"{system}\n\n{text}"
        if self.config.style == "easyedit2":
            return self._as_host(without_template(text, system))
        return self._led(self._encode(written, plain=self.config.special_tokens != "read"))

    def _as_host(self, written: str) -> Ids:
        """Ids of a prompt as EasyEdit2 tokenises one that no template wrote."""
        special = self.config.chat_template == "off"
        return tuple(self.tokenizer(written, add_special_tokens=special, verbose=False)["input_ids"])

    def _opening(self, chat: Chat | None, system: str | None, tools: Sequence[Any] = ()) -> Ids:
        """What prompts of different queries have in common, under a system message of their own or none."""
        rows = []
        for user in _USERS:
            said = [{"role": "user", "content": user}]
            own = [] if system is None else [{"role": "system", "content": system}]
            prompt = Conversation([*own, *said], tools) if own or tools else user
            other = chat is not None and chat is not self.chat
            rows.append(self._led(self._encode(chat.ask(prompt))) if other and chat else self._prompt(prompt))
        return common_prefix(rows)

    def _check_prompt(self, prompt: str) -> None:
        for text in [m["content"] for m in prompt.messages] if isinstance(prompt, Conversation) else [prompt]:
            self._check_text(text, spared=self.chat is None)

    def _check_text(self, text: str, *, spared: bool = True) -> None:
        """Raise for text that no tokenizer takes, or that holds a special token which nobody said how to read."""
        require_whole(text, "it")
        how = self.config.special_tokens
        if how == "read" or (how == "plain" and spared) or self._count_specials(self._encode(text)) == 0:
            return
        way = "tokens.special_tokens: plain (its characters) or read (the token)"
        if not spared:
            way = "of prompts that are rendered already, chat_template: off and special_tokens: read (under tokens)"
        raise DataError(
            f"holds text that the tokenizer reads as {self._named_special(text)}: remove it, or say how "
            f"it is read, {way}"
        )

    def _led(self, ids: Ids) -> Ids:
        """``ids`` after the special tokens that the tokenizer adds before a text (BOS), without repeating them."""
        if self.config.style == "easyedit2":
            return ids
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

    def _is_special(self, id_: int) -> bool:
        return id_ in self._specials

    def _count_specials(self, ids: Ids) -> int:
        return sum(id_ in self._specials for id_ in ids)

    def _named_special(self, text: str) -> str:
        names = sorted(self.tokenizer.convert_ids_to_tokens(sorted(self._specials)), key=len, reverse=True)
        return "the special token " + next((repr(name) for name in names if name in text), "of another name")
