"""Chat templates as text: what a tokenizer's template writes before a query, between query and answer, and after it.

    rendered = opening + system? + query + generation prompt + between + answer + after

Everything is found by rendering and looking, so that any family's template works: one without a system role gets the
system prompt folded into the user's turn (``system + blank line + query``); what a finished exchange shows between the
generation prompt and the answer is kept, because the model has never seen an answer without it. Text only, no ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError

from ..types import ConfigError

_USER = "Zq word"
_ANSWER = "Xj word"
# Some templates write today's date into the system turn; rows must not change overnight.
_DATE = "26 Jul 2024"


class Chat:
    """The chat template of ``tokenizer`` with one system prompt (or the template's own where it is None).

    Args:
        tokenizer: a Hugging Face tokenizer that has a chat template.
        system: the system prompt; None for the template's own.

    Attributes:
        answer_space: white space that the template writes before an answer; it belongs to the answer's first word
            (Llama-2).
        answer_opening: other text that it writes there, part of what precedes the answer (Qwen3's empty thoughts).
        after_answer: what it writes after an answer: end of turn, line break; empty if it shows no finished exchange.

    Raises:
        ConfigError: the template fails, or leaves the user's text out.
    """

    def __init__(self, tokenizer: Any, system: str | None) -> None:
        self.tokenizer = tokenizer
        self.system = system
        self._folds_system = system is not None and not self._takes_system(system)
        self.answer_space = self.answer_opening = self.after_answer = ""
        asked, (before, after) = self.ask(_USER), self._finished()
        self.after_answer = after
        if before.startswith(asked):
            between = before[len(asked) :]
            self.answer_space, self.answer_opening = ("", between) if between.strip() else (between, "")

    def ask(self, user: str, earlier: Sequence[tuple[str, str]] = ()) -> str:
        """Render the conversation up to where the answer to ``user`` begins.

        Args:
            user: the user's message, plain text.
            earlier: queries and their answers before it.

        Raises:
            ConfigError: the template fails, or leaves the query out.
        """
        try:
            text = self._render(self._messages(user, earlier), open_answer=True)
        except TemplateError as error:
            raise ConfigError(
                f"the tokenizer's chat template fails ({error}): fix it, or set chat_template: off"
            ) from error
        if user.strip() not in text:
            raise ConfigError("the tokenizer's chat template does not show the user's text: use chat_template: off")
        return text + self.answer_opening

    def _messages(self, user: str, earlier: Sequence[tuple[str, str]] = ()) -> list[dict[str, str]]:
        turns = [*(text for exchange in earlier for text in exchange), user]
        if self.system is not None and self._folds_system:
            turns[0] = f"{self.system}\n\n{turns[0]}"
        roles = ("user", "assistant")
        said = [{"role": roles[place % 2], "content": text} for place, text in enumerate(turns)]
        opening = [] if self.system is None or self._folds_system else [{"role": "system", "content": self.system}]
        return opening + said

    def _render(self, messages: list[dict[str, str]], *, open_answer: bool) -> str:
        dated = "date_string" in str(self.tokenizer.chat_template)
        constants = {"date_string": _DATE} if dated else {}
        text: str = self.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=open_answer, **constants
        )
        return text

    def _takes_system(self, system: str) -> bool:
        self._folds_system = False
        try:
            return system.strip() in self._render(self._messages(_USER), open_answer=True)
        except TemplateError:
            return False

    def _finished(self) -> tuple[str, str]:
        """The text before and after the answer in a finished conversation."""
        messages = [*self._messages(_USER), {"role": "assistant", "content": _ANSWER}]
        try:
            before, _, after = self._render(messages, open_answer=False).rpartition(_ANSWER)
        except TemplateError:
            return "", ""
        return before, after
