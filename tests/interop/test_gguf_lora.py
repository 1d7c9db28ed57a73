"""LoRA adapters in GGUF: names, shapes and the order of rows; llama.cpp itself opens them in ``test_llama_cpp``."""

from __future__ import annotations

from pathlib import Path

import gguf
import pytest
import torch

from easyedit_split.interop.gguf_files import reordered
from easyedit_split.model.sites import Site
from easyedit_split.types import ArtifactError, ConfigError

from .peers import artifact, back, exact_world, far, out, refused, steered

NAMES = {"mlp.down_proj": "ffn_down", "mlp.up_proj": "ffn_up", "attn.q_proj": "attn_q", "attn.o_proj": "attn_output"}


@pytest.mark.parametrize("family", ["llama", "qwen2", "gemma2"])
@pytest.mark.parametrize("site", list(NAMES))
def test_names_and_shapes_are_llama_cpps(family: str, site: str, tmp_path: Path) -> None:
    here = exact_world(family)
    held = artifact(here, layers=(0, 2), site=site, form_config={"rank": 3, "alpha": 2.0, "apply_alpha": True})
    out(here, held, "gguf_lora", tmp_path / "a.gguf")
    reader = gguf.GGUFReader(tmp_path / "a.gguf")
    keys = {name: field.contents() for name, field in reader.fields.items()}
    assert keys["general.architecture"] == family
    assert (keys["general.type"], keys["adapter.type"], keys["adapter.lora.alpha"]) == ("adapter", "lora", 1.5 * 2.0)
    shapes = {tensor.name: tuple(tensor.data.shape) for tensor in reader.tensors}
    form = held.only()[f"0.{site}"]
    assert shapes == {
        f"blk.{block}.{NAMES[site]}.weight.{part}": shape
        for block in (0, 2)
        for part, shape in (("lora_a", (3, form.d_in)), ("lora_b", (form.d_out, 3)))
    }
    again = back(here, "gguf_lora", tmp_path / "a.gguf")
    assert far(steered(here, again, 1.0), steered(here, held)) < 1e-6


def test_llamas_rows_are_put_in_order_and_back() -> None:
    here = exact_world()
    B = torch.arange(32.0)[:, None]
    for name, heads in (("attn.q_proj", 4), ("attn.k_proj", 2)):
        rows = B[: 8 * heads]
        there = reordered(here.model, Site(0, name), rows)
        assert there[:8, 0].tolist() == [0, 4, 1, 5, 2, 6, 3, 7]  # of a head: its halves' rows in turn
        assert torch.equal(reordered(here.model, Site(0, name), there, back=True), rows)
    assert reordered(here.model, Site(0, "attn.v_proj"), B) is B


def test_what_llama_cpp_cannot_take_is_refused(tmp_path: Path) -> None:
    here, place = exact_world(), tmp_path / "a.gguf"
    with refused(place, "db has no place", of=ConfigError):
        out(here, artifact(here, "local_weight"), "gguf_lora", place, rank=2)
    done = out(here, artifact(here, "local_weight", form_config={"bias": False}), "gguf_lora", place, rank=2)
    assert "of its energy" in done.notes[0]
    other = exact_world("qwen2")
    with refused(tmp_path / "x", "not a LoRA adapter of qwen2", of=ArtifactError):
        back(other, "gguf_lora", place)
    (tmp_path / "broken.gguf").write_bytes(place.read_bytes()[:200])
    with refused(tmp_path / "x", "not a readable GGUF file", of=ArtifactError):
        back(here, "gguf_lora", tmp_path / "broken.gguf")
