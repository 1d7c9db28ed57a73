"""GGUF files: the folder made of one holds its weights to the bit, is made once, and never half."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from easyedit_split.model import gguf as module
from easyedit_split.model.gguf import cache_folder, converted, is_gguf
from easyedit_split.types import ConfigError

gguf = pytest.importorskip("gguf", reason="reading GGUF files needs the package gguf")

D, F, HEADS, BLOCKS = 16, 24, 2, 2
TOKENS = ["<unk>", "<s>", "</s>", *"abcdefghijklmnopqrstuvwxyz", "Ġ", *"0123456789", "Ġa", "yz"]


def write_llama(path: Path, seed: int = 0) -> dict[str, np.ndarray]:
    """A tiny Llama checkpoint as a GGUF file; its tensors by name."""
    draw = np.random.default_rng(seed)

    def noise(*shape: int) -> np.ndarray:
        return (0.2 * draw.standard_normal(shape)).astype(np.float32)

    shapes = {"attn_q": (D, D), "attn_k": (D // HEADS, D), "attn_v": (D // HEADS, D), "attn_output": (D, D)}
    shapes |= {"ffn_gate": (F, D), "ffn_up": (F, D), "ffn_down": (D, F)}
    tensors = {"token_embd.weight": noise(len(TOKENS), D), "output.weight": noise(len(TOKENS), D)}
    tensors["output_norm.weight"] = 1 + noise(D)
    for block in range(BLOCKS):
        tensors |= {f"blk.{block}.{name}.weight": noise(*shape) for name, shape in shapes.items()}
        tensors |= {f"blk.{block}.{name}.weight": 1 + noise(D) for name in ("attn_norm", "ffn_norm")}
    writer = gguf.GGUFWriter(path, "llama")
    for add, value in (
        (writer.add_block_count, BLOCKS), (writer.add_context_length, 64), (writer.add_embedding_length, D),
        (writer.add_feed_forward_length, F), (writer.add_head_count, HEADS), (writer.add_head_count_kv, 1),
        (writer.add_layer_norm_rms_eps, 1e-5), (writer.add_rope_freq_base, 10000.0),
        (writer.add_rope_dimension_count, D // HEADS), (writer.add_vocab_size, len(TOKENS)),
        (writer.add_tokenizer_model, "gpt2"), (writer.add_token_list, TOKENS),
        (writer.add_token_types, [3, 3, 3, *[1] * (len(TOKENS) - 3)]), (writer.add_token_merges, ["Ġ a", "y z"]),
        (writer.add_unk_token_id, 0), (writer.add_bos_token_id, 1), (writer.add_eos_token_id, 2),
    ):  # fmt: skip
        add(value)
    for name, tensor in tensors.items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tensors


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EASYEDIT_SPLIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def load(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    return model, AutoTokenizer.from_pretrained(folder)


def test_a_converted_folder_holds_the_files_weights_and_tokenizer(tmp_path: Path, cache: Path) -> None:
    tensors = write_llama(tmp_path / "tiny.gguf")
    model, tokenizer = load(converted(tmp_path / "tiny.gguf"))
    state = model.state_dict()
    assert state["model.embed_tokens.weight"].dtype == torch.float32
    assert np.array_equal(state["model.embed_tokens.weight"].numpy(), tensors["token_embd.weight"])
    assert np.array_equal(state["model.layers.1.mlp.down_proj.weight"].numpy(), tensors["blk.1.ffn_down.weight"])
    assert not np.array_equal(state["model.layers.0.mlp.down_proj.weight"].numpy(), tensors["blk.1.ffn_down.weight"])
    assert getattr(model.config, "quantization_config", None) is None
    assert tokenizer("ab a")["input_ids"] == [TOKENS.index(token) for token in ("a", "b", "Ġa")]


def test_it_is_made_once_and_found_by_content(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_llama(tmp_path / "tiny.gguf")
    first = converted(tmp_path / "tiny.gguf")
    (tmp_path / "tiny.gguf").rename(tmp_path / "other-name.gguf")
    write_llama(tmp_path / "tiny.gguf", seed=1)
    second = converted(tmp_path / "tiny.gguf")
    assert second != first

    def fail(*_: Any) -> None:
        raise AssertionError("it was read again")

    monkeypatch.setattr(module, "_convert", fail)
    assert converted(tmp_path / "other-name.gguf") == first
    with pytest.raises(AssertionError, match="read again"):  # the spy sees a file that is new
        write_llama(tmp_path / "third.gguf", seed=2)
        converted(tmp_path / "third.gguf")


def test_a_conversion_that_stops_half_way_leaves_nothing(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_llama(tmp_path / "tiny.gguf")

    def half(file: Path, folder: Path) -> None:
        (folder / "config.json").write_text("{}")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(module, "_convert", half)
        converted(tmp_path / "tiny.gguf")
    assert not [name for _, _, names in os.walk(cache) for name in names]
    assert (converted(tmp_path / "tiny.gguf") / "model.safetensors").is_file()


def test_what_is_no_gguf_file_is_one_sentence(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "noise.gguf").write_bytes(b"not a checkpoint at all")
    with pytest.raises(ConfigError, match=r"noise\.gguf: transformers cannot read this GGUF file") as caught:
        converted(tmp_path / "noise.gguf")
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"absent\.gguf: cannot be read"):
        converted(tmp_path / "absent.gguf")


def test_without_the_reader_the_sentence_says_how_to_get_it(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_llama(tmp_path / "tiny.gguf")
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install gguf"):
        converted(tmp_path / "tiny.gguf")


def test_the_cache_follows_its_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EASYEDIT_SPLIT_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "easyedit_split"
    monkeypatch.setenv("EASYEDIT_SPLIT_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"


@pytest.mark.parametrize(("name", "yes"), [("a/b.gguf", True), ("B.GGUF", True), ("gguf", False), ("a.gguf/b", False)])
def test_a_gguf_file_is_known_by_its_ending(name: str, yes: bool) -> None:
    assert is_gguf(name) is yes
