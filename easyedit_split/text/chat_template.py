"""Chat templates as text: what a tokenizer's template writes before an answer, between prompt and answer, and after it.

    rendered = opening + system? + messages + generation prompt + between + answer + after

Everything is found by rendering and looking, so that any family's template works: one without a system role gets the
system message folded into the first user's turn (``system + blank line + query``). An answer stands where the template
puts it in a finished exchange, because the model has never seen one elsewhere: where the generation prompt opens
thoughts that a finished exchange does not have, they are left out (``opened``), where a finished exchange shows closed
ones, they are put in (``closed``). Text only, no ids.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ..config import TokenConfig
from ..types import ConfigError, DataError
from .conversation import Conversation
from .shown_messages import FAILURES, require_shown, tools_of
from .template_dates import DAY, date_string, is_dated, with_fixed_day

_USER = "Zq word"
_ANSWER = "Xj word"
_RESERVED = ("messages", "conversation", "tools", "chat_template", "add_generation_prompt", "continue_final_message")
_OFF = "fix it, or set chat_template: off"


class Chat:
    """The chat template of a tokenizer, with the settings of ``TokenConfig``.

    Args:
        tokenizer: a Hugging Face tokenizer that has a chat template.
        config: the system message and the template's arguments.
        day: what a dated template writes.

    Attributes:
        answer_space: white space that the template writes before an answer, and spaces that end its generation prompt;
            they belong to the answer's first word (Llama-2).
        opened: end of the generation prompt that a finished exchange does not have (an opened ``<think>``).
        closed: what a finished exchange has in its place (Qwen3's empty thoughts).
        after_answer: what it writes after an answer: end of turn, line break; empty if it shows no finished exchange.

    Raises:
        ConfigError: the template fails, leaves the user's text out, does not read an argument, or opens an answer in a
            way that its finished exchange does not show.
    """

    def __init__(self, tokenizer: Any, config: TokenConfig, day: datetime = DAY) -> None:
        self.tokenizer = tokenizer
        self.system = config.system
        self.day = day
        self.source = self._source()
        self.arguments = dict(config.template)
        self._check_arguments()
        self._parts = False
        self._folds: dict[str, bool] = {}
        self.answer_space = self.opened = self.closed = self.after_answer = self._spaces = ""
        self._shows_exchange = False
        self._probe()

    def ask(self, prompt: str, earlier: Sequence[tuple[str, str]] = ()) -> str:
        """Render a prompt up to where its answer begins in a finished exchange.

        Args:
            prompt: the user's message, or a ``Conversation``.
            earlier: queries and their answers before it.

        Raises:
            ConfigError: the template fails, or leaves a message out.
            DataError: it refuses the conversation, or shows its finished exchange otherwise.
        """
        text = self._closed(self.generation_prompt(prompt, earlier))
        if self._shows_exchange and self._in_exchange(text, self.messages(prompt, earlier), tools_of(prompt)) is None:
            raise DataError(
                "is written otherwise by the chat template once it is answered, so no answer's place is known: "
                "change the message that the template reads as a command, or set chat_template: off"
            )
        return text

    def generation_prompt(self, prompt: str, earlier: Sequence[tuple[str, str]] = ()) -> str:
        """Render a prompt up to where the template lets the model begin, thoughts left open where it opens them.

        Args:
            prompt: the user's message, or a ``Conversation``.
            earlier: queries and their answers before it.

        Raises:
            ConfigError: the template fails, or leaves a message out.
            DataError: it refuses the conversation.
        """
        messages = self.messages(prompt, earlier)
        try:
            text = self._render(messages, tools_of(prompt), open_answer=True)
        except FAILURES as error:
            if isinstance(prompt, Conversation):
                raise DataError(f"is refused by the chat template ({_short(error)}): change its messages") from error
            raise ConfigError(f"the tokenizer's chat template fails ({_short(error)}): {_OFF}") from error
        if isinstance(prompt, Conversation):
            require_shown(prompt, messages, text, self._render)
        elif messages[-1]["content"].strip() not in text:
            raise ConfigError("the tokenizer's chat template does not show the user's text: use chat_template: off")
        return text

    def check_exchange(self, prompt: str, answer: str) -> None:
        """Raise where the template writes a finished exchange otherwise than as prompt and answer side by side.

        Args:
            prompt: the user's message, or a ``Conversation``.
            answer: its answer.

        Raises:
            DataError: so it is, e.g. of an answer with thoughts of its own, which the template drops.
        """
        if not self._shows_exchange:
            return
        messages, tools = self.messages(prompt), tools_of(prompt)
        before = self._in_exchange(self._closed(self.generation_prompt(prompt)), messages, tools)
        try:
            finished = self._render([*messages, {"role": "assistant", "content": answer}], tools, open_answer=False)
        except FAILURES as error:
            raise DataError(f"is refused by the chat template as an answer ({_short(error)}): change it") from error
        expected = f"{before}{self.answer_space}"
        if not any(finished.startswith(expected + said + self.after_answer) for said in (answer, answer.strip())):
            raise DataError(
                "is written otherwise by the chat template in a finished exchange (thoughts dropped, or a text that it "
                "reads as a command): give the answer alone, without thoughts"
            )

    def messages(self, prompt: str, earlier: Sequence[tuple[str, str]] = ()) -> list[dict[str, Any]]:
        """Messages of a prompt as the template takes them, the system message among them or folded.

        Args:
            prompt: the user's message, or a ``Conversation``, whose own system message replaces the settings'.
            earlier: queries and their answers before it.
        """
        if isinstance(prompt, Conversation):
            said = [dict(message) for message in prompt.messages]
        else:
            turns = [*(text for exchange in earlier for text in exchange), prompt]
            said = [{"role": ("user", "assistant")[k % 2], "content": text} for k, text in enumerate(turns)]
        system = self.system
        if said[0]["role"] == "system":
            system = said.pop(0)["content"]
        if system is None:
            return said
        if system.strip() and self.takes_system(system):
            return [{"role": "system", "content": system}, *said]
        first = next((k for k, message in enumerate(said) if message["role"] == "user"), 0)
        if system.strip():
            said[first]["content"] = f"{system}\n\n{said[first]['content']}"
            return said
        return [{"role": "system", "content": system}, *said]

    def takes_system(self, system: str) -> bool:
        """Whether the template shows this system message as it stands, and shows system messages at all.

        Args:
            system: the message.
        """
        if system not in self._folds:
            shown = []
            for text in (system.strip(), "Mk word"):
                messages = [{"role": "system", "content": text}, {"role": "user", "content": _USER}]
                try:
                    shown.append(text in self._render(messages, (), open_answer=True))
                except FAILURES:
                    shown.append(False)
            self._folds[system] = all(shown)
        return self._folds[system]

    def _source(self) -> str:
        try:
            found: str = self.tokenizer.get_chat_template()
        except ValueError as error:
            raise ConfigError(
                f"the tokenizer has several chat templates and none called default ({_short(error)}): "
                "give it one, or set chat_template: off"
            ) from error
        return found

    def _check_arguments(self) -> None:
        for name in self.arguments:
            if name in _RESERVED:
                raise ConfigError(f"tokens.template.{name}: the package gives this itself: leave it out")
            if not re.search(rf"\b{re.escape(name)}\b", self.source):
                raise ConfigError(
                    f"tokens.template.{name}: the tokenizer's chat template does not read it: leave it out"
                )

    def _probe(self) -> None:
        """Find what stands between a prompt and its answer, and after it, from one exchange."""
        try:
            asked = self._asked_probe()
        except FAILURES as error:
            raise ConfigError(f"the tokenizer's chat template fails ({_short(error)}): {_OFF}") from error
        messages = self.messages(_USER)
        before, self.after_answer = self._finished(messages, ())
        if _USER not in before:
            return
        at, place = asked.rindex(_USER), before.rindex(_USER)
        tails = asked[at:], before[place:]
        shared = next((k for k, (a, b) in enumerate(zip(*tails, strict=False)) if a != b), min(map(len, tails)))
        self.opened, closed = tails[0][shared:], tails[1][shared:]
        inner = not self.opened and not closed.strip()
        self.answer_space, self.closed = (closed, "") if inner else ("", closed)
        begun = asked.removesuffix(self.opened) + self.closed
        self._spaces = begun[len(begun.rstrip(" ")) :]
        self.answer_space = self._spaces + self.answer_space
        if self._in_exchange(self._closed(asked), messages, ()) is None:
            raise ConfigError(
                f"the chat template writes a finished exchange otherwise than the prompt {asked[-40:]!r}, so no "
                f"answer's place is known: {_OFF}"
            )
        self._shows_exchange = True

    def _closed(self, asked: str) -> str:
        """A generation prompt as a finished exchange has it, up to the space before the answer's first word."""
        return (asked.removesuffix(self.opened) + self.closed).removesuffix(self._spaces)

    def _in_exchange(
        self, text: str, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]
    ) -> str | None:
        """What a finished exchange shows before the answer; None where it is neither ``text`` nor that without system.

        (Mistral-Nemo's template writes the system message while the user's message is the last, and then no more.)
        """
        before = self._finished(messages, tools)[0]
        if before.startswith(text):
            return text
        if messages[0]["role"] != "system" or len(messages) == 1:
            return None
        try:
            bare = self._closed(self._render(messages[1:], tools, open_answer=True))
        except FAILURES:
            return None
        return bare if before.startswith(bare) else None

    def _asked_probe(self) -> str:
        """The probe with its generation prompt; messages are parts where the template wants them so."""
        asked = self._render(self.messages(_USER), (), open_answer=True)
        if _USER not in asked:
            self._parts, self._folds = True, {}
            try:
                asked = self._render(self.messages(_USER), (), open_answer=True)
            except FAILURES:
                asked = ""
        if _USER not in asked:
            raise ConfigError("the tokenizer's chat template does not show the user's text: use chat_template: off")
        return asked

    def _render(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]],
        *,
        open_answer: bool,
    ) -> str:
        dated = {"date_string": date_string(self.day)} if is_dated(self.source) else {}
        given = [self._as_parts(message) for message in messages] if self._parts else [dict(m) for m in messages]
        text: str = self.tokenizer.apply_chat_template(
            given,
            tools=list(tools) or None,
            chat_template=with_fixed_day(self.source, self.day),
            tokenize=False,
            add_generation_prompt=open_answer,
            **{**dated, **self.arguments},
        )
        return text

    @staticmethod
    def _as_parts(message: Mapping[str, Any]) -> dict[str, Any]:
        return {**message, "content": [{"type": "text", "text": message["content"]}]}

    def _finished(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
        """The text before and after a made-up answer in a finished conversation; two empty texts if it shows none."""
        try:
            text = self._render([*messages, {"role": "assistant", "content": _ANSWER}], tools, open_answer=False)
        except FAILURES:
            return "", ""
        before, found, after = text.rpartition(_ANSWER)
        return (before, after) if found else ("", "")


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
