"""As much of the Hugging Face hub as a push and a download need, on this machine, kept in memory."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class Hub(ThreadingHTTPServer):
    """Repositories of one commit each."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def commit(self, repo: str) -> str:
        whole = b"".join(name.encode() + data for name, data in sorted(self.repositories[repo].items()))
        return hashlib.sha1(whole).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """The routes."""

    server: Hub

    def log_message(self, format: str, *args: Any) -> None:
        return

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, value: Any, status: int = 200, **headers: str) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, content in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), content)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def do_POST(self) -> None:
        self.server.asked.append(self.path)
        data = self.body()
        if self.path == "/api/repos/create":
            name = json.loads(data)
            repo = f"{name.get('organization') or 'someone'}/{name['name']}"
            self.server.repositories.setdefault(repo, {})
            self.answer({"url": f"{self.server.address}/{repo}", "name": repo, "id": repo})
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/main.*", self.path):
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(data)["files"]
            ]
            self.answer({"files": files})
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main.*", self.path):
            held = self.server.repositories[match[1]]
            for line in data.decode().splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    held[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            commit = self.server.commit(match[1])
            self.answer(
                {"success": True, "commitOid": commit, "commitUrl": f"{self.server.address}/{match[1]}/commit/{commit}"}
            )
        elif self.path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        else:
            self.answer({"error": "no such route"}, 404)

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        path = self.path.split("?")[0]
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(/revision/[^/]+|/tree/[^/]+)?", path):
            held = self.server.repositories.get(match[1])
            if held is None:
                self.answer({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")
            elif "/tree/" in path:
                files = [{"type": "file", "path": name, "size": len(data), "oid": "0"} for name, data in held.items()]
                self.answer(files)
            else:
                siblings = [{"rfilename": name, "size": len(data)} for name, data in held.items()]
                self.answer({"id": match[1], "sha": self.server.commit(match[1]), "siblings": siblings})
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            data = self.server.repositories.get(match[1], {}).get(match[3])
            if data is None:
                self.answer({"error": "Entry not found"}, 404, X_Error_Code="EntryNotFound")
            else:
                tag = hashlib.sha256(data).hexdigest()
                self.answer(data, ETag=f'"{tag}"', X_Repo_Commit=self.server.commit(match[1]))
        else:
            self.answer({"error": "no such route"}, 404)

    do_HEAD = do_GET


@contextmanager
def hub() -> Iterator[Hub]:
    """A hub that answers while inside."""
    server = Hub()
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
