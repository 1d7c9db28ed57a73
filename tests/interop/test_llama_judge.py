"""A real server of the chat API, llama.cpp's own, as the place where a judge is asked: the mechanics alone.

SmolLM2 is no judge. What is held is that it is asked, that its replies are read or counted as unreadable, and that
nothing is asked twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from easyedit_split.judges.base import Service, prepared_judge, scores_of
from easyedit_split.judges.scales import SCALES
from easyedit_split.model import smollm2
from easyedit_split.types import Pair

from .llama_cpp import installed

pytest.importorskip("openai")
pytestmark = [
    pytest.mark.skipif(not installed(), reason="llama.cpp is not installed (make test-interop)"),
    pytest.mark.skipif(smollm2.packaged_file() is None, reason="SmolLM2's GGUF file is not installed"),
]
PAIRS = tuple(
    Pair(prompt, "Lovely, it was!", "Dull, it was.", "cheer") for prompt in ("How was lunch?", "How was rain?")
)
ANSWERS = ("Lunch was lovely, thank you so much!", "rain rain rain ??")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(smollm2.packaged_file())
    params.n_parallel, params.n_ctx = 2, 4096
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.warmup = False
    server = xllamacpp.Server(params)
    yield f"{server.listening_address}/v1"
    del server


def test_a_real_server_is_asked_and_never_twice(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    told = Service(url=address, cache=tmp_path, scales=("concept", "fluency"), at_once=2)
    prompts = [pair.prompt for pair in PAIRS]
    first = scores_of(prepared_judge("openai:smollm2", service=told), prompts, ANSWERS, PAIRS)
    for found in first:
        assert set(found) == {"concept", "fluency", "overall"}
        for name in ("concept", "fluency"):
            assert math.isnan(found[name]) or found[name] in range(SCALES[name].top + 1)
    kept = sorted(tmp_path.rglob("*.json"))
    assert len(kept) >= 4, "a verdict for each answer and scale"
    again = scores_of(prepared_judge("openai:smollm2", service=told), prompts, ANSWERS, PAIRS)
    assert repr(again) == repr(first)
    assert sorted(tmp_path.rglob("*.json")) == kept
