"""Prompts as EasyEdit2 writes them (``tokens.style: easyedit2``): its generation and our scores read the same ids.

    chat      template([system?, strip(query)]) with its generation prompt; where the template refuses a system message,
              template([system + " " + strip(query)]). No special token is added, and thoughts stand as the template
              opens them, closed or not.
    no chat   system + " " + strip(query), with the special tokens that the tokenizer adds; without them where a chat
              template was asked for and the tokenizer has none.

Dates stay fixed, as everywhere here: a template that writes today's is written with one day (``template_dates``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .chat_template import Chat
from .conversation import Conversation
from .shown_messages import FAILURES, tools_of


class EasyEdit2Chat(Chat):
    """A chat template used as EasyEdit2 uses it."""

    def ask(self, prompt: str, earlier: Sequence[tuple[str, str]] = ()) -> str:
        """Render a prompt with the template's own generation prompt, behind which EasyEdit2 lets the model write.

        Args:
            prompt: the user's message, or a ``Conversation``.
            earlier: queries and their answers before it.

        Raises:
            ConfigError: the template fails, or leaves a message out.
            DataError: it refuses the conversation.
        """
        return self.generation_prompt(prompt, earlier)

    def messages(self, prompt: str, earlier: Sequence[tuple[str, str]] = ()) -> list[dict[str, Any]]:
        """Messages of a prompt as EasyEdit2 gives them to the template.

        Args:
            prompt: the user's message, or a ``Conversation``, which is taken as it is.
            earlier: queries and their answers before it.
        """
        if isinstance(prompt, Conversation) or earlier:
            return super().messages(prompt, earlier)
        query = prompt.strip()
        if not self.system:
            return [{"role": "user", "content": query}]
        asked = [{"role": "system", "content": self.system}, {"role": "user", "content": query}]
        try:
            self._render(asked, tools_of(prompt), open_answer=True)
        except FAILURES:
            return [{"role": "user", "content": f"{self.system} {query}"}]
        return asked


def without_template(query: str, system: str | None) -> str:
    """A prompt without a chat template, as EasyEdit2 joins it.

    Args:
        query: the user's text.
        system: the system prompt; None for none.
    """
    return f"{system} {query.strip()}" if system else query.strip()
