"""A server on this machine that speaks the chat API: it grades by rule, and fails as it is told to.

It grades an answer by how many of the wanted words it holds, from the question alone, as a model would.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Fault = Callable[[BaseHTTPRequestHandler], None]
"""What is sent in place of a reply."""
FAST = {"retry-after-ms": "1"}


def status(code: int, message: str = "no", **more: Any) -> Fault:
    """An error as the API writes it, which may be tried again at once."""

    def send(handler: BaseHTTPRequestHandler) -> None:
        found = f"{message} {handler.headers.get('Authorization')}" if message.endswith("key") else message
        body = json.dumps({"error": {"message": found, "type": "error", **more}}).encode()
        _send(handler, code, body)

    return send


def raw(body: bytes, kind: str = "application/json") -> Fault:
    """A body that is no completion, sent as if all was well."""
    return lambda handler: _send(handler, 200, body, kind)


def redirect(to: str) -> Fault:
    """The client is sent elsewhere, with the question."""

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(307)
        handler.send_header("Location", to)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return send


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """The connection is closed without a word."""
    handler.close_connection = True
    handler.connection.close()


def dribble(seconds: float) -> Fault:
    """A reply that goes on and on, a space at a time, for so many seconds: each comes soon, the whole never does."""

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            handler.wfile.write(b" ")
            time.sleep(0.02)
        handler.close_connection = True

    return send


def _send(handler: BaseHTTPRequestHandler, code: int, body: bytes, kind: str = "application/json") -> None:
    handler.send_response(code)
    for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **FAST}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def reads(question: str) -> dict[str, str]:
    """The tagged texts of a question, by tag."""
    return {tag: text for tag, _, text in re.findall(r"<(\w+)-([0-9a-f]{12})>\n(.*?)\n</\1-\2>", question, re.DOTALL)}


def by_likeness(messages: Sequence[dict[str, str]]) -> str:
    """2 where the answer is the text shown as having the concept, 0 where it is the other's, else 1."""
    said = reads(messages[1]["content"])
    grade = {said.get("with"): 2, said.get("without"): 0}.get(said["answer"], 1)
    return f"It is what it is.\nScore: {grade}"


@dataclass
class FakeService:
    """What the server was asked, and how it answers.

    Attributes:
        answer: a reply to messages.
        faults: what the first requests get instead, one each; None for a reply.
        delay: seconds that a reply takes.
        asked: bodies of the requests.
        keys: their keys.
        most: requests that were under way at once.
        url: the API's address.
    """

    answer: Callable[[Sequence[dict[str, str]]], str] = by_likeness
    faults: list[Fault | None] = field(default_factory=list)
    delay: float = 0.0
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    most: int = 0
    url: str = ""
    _here: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self._lock:
            self.asked.append(body)
            self.keys.append(str(handler.headers.get("Authorization")))
            fault = self.faults.pop(0) if self.faults else None
            self._here += 1
            self.most = max(self.most, self._here)
        time.sleep(self.delay)
        try:
            if fault is not None:
                fault(handler)
                return
            message = {"role": "assistant", "content": self.answer(body["messages"])}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            found = {"id": "1", "object": "chat.completion", "created": 0, "model": body["model"], "choices": [choice]}
            _send(handler, 200, json.dumps(found).encode())
        finally:
            with self._lock:
                self._here -= 1


@contextmanager
def served(**settings: Any) -> Iterator[FakeService]:
    """A running server."""
    service = FakeService(**settings)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            service.take(self)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
