"""Asking a language model behind OpenAI's chat API, through the official client: hosted, vLLM, Ollama, llama.cpp.

The key is read from the environment (``OPENAI_API_KEY``) and nowhere else; it is in no file, message or log. What a
busy or failing server answers (429, 5xx, a broken connection) is asked again by the client, which waits longer each
time and as long as the server says; a reply that is no JSON or no completion is asked again here, in the same way.
"""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ..files.reading import cut
from ..types import ConfigError, SteeringError

KEY, URL = "OPENAI_API_KEY", "OPENAI_BASE_URL"
NO_KEY = "none"
"""What a server of one's own is sent where the environment holds no key."""
RETRIES = 8
TIMEOUT = 180.0
"""Seconds that one reply may take."""
LONGEST_REPLY = 1_000_000
"""Characters: far above what any model says of a grade."""
_RENAMED = {"max_tokens": "max_completion_tokens"}
"""Settings that some models take by another name; any other that they refuse is left to them."""
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 20.0


class ServiceError(SteeringError):
    """A judge's server refuses, is not there, or keeps failing."""


class RefusedError(ServiceError):
    """The server refuses one question (400 or 422), its content or its length for instance."""


@dataclass(frozen=True, slots=True)
class Asking:
    """How a server is asked.

    Attributes:
        model: name of the model there.
        url: address of the API, e.g. ``http://localhost:8000/v1``; None for the client's own, OpenAI's unless
            ``OPENAI_BASE_URL`` names another.
        max_tokens: longest reply.
        temperature: of sampling; 0 for the likeliest reply.
        seed: of sampling, for servers that read it.
        retries: how often a question is asked again.
        timeout: seconds that one reply may take.
    """

    model: str
    url: str | None = None
    max_tokens: int = 1024
    temperature: float = 0.0
    seed: int = 0
    retries: int = RETRIES
    timeout: float = TIMEOUT

    def __post_init__(self) -> None:
        if not self.model:
            raise ConfigError("a judge of this kind needs a model's name: write openai:MODEL, e.g. openai:gpt-4.1-mini")
        if self.max_tokens < 1:
            raise ConfigError(f"max_tokens is {self.max_tokens}, must be at least 1")
        if self.url is not None:
            _check_url(self.url)

    @property
    def address(self) -> str:
        """Where the API is, for records: the URL, or that of the environment, or ``openai``."""
        return self.url or os.environ.get(URL) or "openai"

    def settings(self) -> dict[str, Any]:
        """What a reply depends on besides the messages."""
        return {"model": self.model, "max_tokens": self.max_tokens, "temperature": self.temperature, "seed": self.seed}


class ChatService:
    """A client of one server; use it in a ``with`` statement. Several threads may ask at once.

    Args:
        asking: which model, where and how.

    Raises:
        ConfigError: the client is not installed, no key is known for OpenAI's own server, or it is none.
        ServiceError: nothing listens at an address on this machine.
    """

    def __init__(self, asking: Asking) -> None:
        try:
            import openai
        except ImportError as error:
            raise ConfigError("the openai judge needs a client: pip install 'easyedit-split[judge-llm]'") from error
        self.asking = asking
        self._key = os.environ.get(KEY, "")
        _check_key(self._key)
        own = asking.url or os.environ.get(URL)
        if not self._key and not own:
            raise ConfigError(
                f"the openai judge has no key: set {KEY}, or name a server of your own with --judge-url "
                "(http://localhost:8000/v1 for vLLM)"
            )
        if own:
            _check_url(own)
            _check_listens(own)
        self._openai = openai
        self._client = openai.OpenAI(
            api_key=self._key or NO_KEY,
            base_url=own,
            max_retries=asking.retries,
            timeout=asking.timeout,
            http_client=openai.DefaultHttpxClient(follow_redirects=False),  # texts go where the user said
        )
        self._settings = asking.settings()

    def __enter__(self) -> ChatService:
        return self

    def __exit__(self, *raised: object) -> None:
        self._client.close()

    def reply(self, messages: Sequence[dict[str, str]]) -> str:
        """The text of one reply; empty where the server ends without one.

        Args:
            messages: with ``role`` and ``content``.

        Raises:
            RefusedError: the server refuses this question.
            ServiceError: it refuses the model or the key, is not there, or keeps failing.
        """
        for attempt in range(self.asking.retries + 1):
            try:
                found = self._asked(messages)
            except ValueError:  # a body that is no JSON
                found = None
            choices = getattr(found, "choices", None)
            message = getattr(choices[0], "message", None) if isinstance(choices, list) and choices else None
            if message is not None:
                content = getattr(message, "content", None)
                return self._within(content) if isinstance(content, str) else ""
            if attempt < self.asking.retries:
                time.sleep(min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempt) * (0.75 + 0.25 * random.random()))
        raise ServiceError(
            f"the judge at {self.asking.address} answers with what is no chat completion: check that the address is "
            "that of its API (it ends with /v1)"
        )

    def _within(self, content: str) -> str:
        """A reply, unless it is one that no judge gives: it would be kept, and sent back where it holds no grade."""
        if len(content) <= LONGEST_REPLY:
            return content
        raise ServiceError(
            f"the judge at {self.asking.address} answers with {len(content):,} characters, where at most "
            f"{self.asking.max_tokens:,} tokens were asked for: check its server"
        )

    def _asked(self, messages: Sequence[dict[str, str]]) -> Any:
        """One completion, without the settings that this model does not know."""
        openai = self._openai
        while True:
            settings = self._settings
            try:
                create: Any = self._client.chat.completions.create
                return create(messages=list(messages), **settings)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                if not self._done_without(getattr(error, "param", None), settings):
                    raise RefusedError(self._said("refuses a question", error)) from None
            except openai.APIStatusError as error:
                raise ServiceError(self._said(f"answers {error.status_code}", error)) from None
            except openai.APIConnectionError as error:
                raise ServiceError(self._said("cannot be reached", error.__cause__ or error)) from None

    def _done_without(self, name: str | None, asked: dict[str, Any]) -> bool:
        """Leave out, or rename, a setting that the model refuses; whether it was asked with one."""
        if name is None or name == "model" or name not in asked:
            return False
        rest = {key: value for key, value in self._settings.items() if key != name}
        if name in _RENAMED:
            rest[_RENAMED[name]] = asked[name]
        self._settings = rest
        return True

    def _said(self, what: str, error: BaseException) -> str:
        """A sentence without the key, whatever the server echoes."""
        text = " ".join(str(error).split())
        if self._key:
            text = text.replace(self._key, "***")
        return f"the judge at {self.asking.address} {what} ({cut(text, 160)}): check --judge, --judge-url and {KEY}"


def _check_key(key: str) -> None:
    """Raise for a key that no header can carry; the client's own message would show it, as it escapes it."""
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ConfigError(
            f"{KEY} holds a sign that no key has (a line break, a space, a letter that is not ASCII): set it anew"
        )


def _check_url(url: str) -> None:
    """Raise for an address that is none, or that holds a password, which would stand in records."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        fits = fits and url.isprintable() and " " not in url
        secret = parts.username is not None or parts.password is not None or bool(parts.query)
    except ValueError:  # nobody knows which part of it is which
        fits, secret = False, "@" in url or "?" in url
    if secret:
        raise ConfigError(f"the judge's address holds a name, a password or a query: set {KEY} instead")
    if not fits:
        raise ConfigError(f"the judge's address is {cut(url, 60)!r}: write http://HOST:PORT/v1 or https://HOST/v1")


def _check_listens(url: str) -> None:
    """Raise where nothing listens at an address of this machine: a server that was not started is said at once."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if host not in ("localhost", "127.0.0.1", "::1"):
        return
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError as error:
        reason = error.strerror or error
        raise ServiceError(
            f"the judge at {url} cannot be reached ({reason}): start its server, or mend the address"
        ) from None
