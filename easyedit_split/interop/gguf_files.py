"""GGUF files of llama.cpp: what the two formats of it share, and the names that its architectures give to maps.

    blk.{l}.ffn_down.weight      is ``mlp.down_proj`` of block l

llama.cpp keeps the rows of Llama's q and k in another order (its rotary embedding turns neighbours, not halves), so B
of an update of theirs is put in that order too, and back when it is read.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..files.reading import reason_of
from ..model.sites import Site, blocks_of, find_linear
from ..types import ArtifactError, ConfigError
from .lora_updates import module_names

ARCHITECTURES = {
    "llama": "llama",
    "mistral": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "gemma2": "gemma2",
}
"""``model_type`` to llama.cpp's name, of those whose maps it stores one by one."""
_REORDERED = {("llama", "attn.q_proj"): "num_attention_heads", ("llama", "attn.k_proj"): "num_key_value_heads"}


def gguf_package() -> ModuleType:
    """The package ``gguf``.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module("gguf")
    except ImportError as error:
        raise ConfigError("GGUF files need the package gguf: pip install gguf") from error


def architecture_of(model: nn.Module) -> str:
    """llama.cpp's name for a model's architecture.

    Args:
        model: a Hugging Face causal LM.

    Raises:
        ConfigError: one whose maps llama.cpp keeps otherwise, or that is not known here.
    """
    kind = str(model.config.model_type)  # type: ignore[union-attr]
    if kind not in ARCHITECTURES:
        raise ConfigError(
            f"how llama.cpp stores the maps of {kind!r} is not known here; known are {', '.join(ARCHITECTURES)}"
        )
    return ARCHITECTURES[kind]


def tensor_name(model: nn.Module, site: Site) -> str:
    """llama.cpp's name of a map's weight, e.g. ``blk.1.ffn_down.weight``.

    Args:
        model: a Hugging Face causal LM.
        site: a linear map.

    Raises:
        ConfigError: an architecture or a map that is not known.
    """
    gguf = gguf_package()
    arch = architecture_of(model)
    number = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == arch)
    names = gguf.get_tensor_name_map(number, len(blocks_of(model)))
    module = module_names(model, {site: find_linear(model, site)})[site]
    found = names.get_name(f"{module}.weight", try_suffixes=(".weight",))
    if found is None:
        raise ConfigError(f"llama.cpp has no name for {module} in the architecture {arch}")
    return str(found)


def reordered(model: nn.Module, site: Site, B: Tensor, back: bool = False) -> Tensor:
    """The rows of an update ``[d_out, ...]`` of a map in llama.cpp's order.

    Args:
        model: a Hugging Face causal LM.
        site: the map.
        B: what is to be put in order.
        back: from llama.cpp's order to ours.
    """
    key = _REORDERED.get((architecture_of(model), site.name))
    if key is None:
        return B
    heads = int(getattr(model.config.get_text_config(), key))  # type: ignore[union-attr, operator]
    half = len(B) // heads // 2
    first, second = (half, 2) if back else (2, half)
    return B.reshape(heads, first, second, *B.shape[1:]).transpose(1, 2).reshape(B.shape).contiguous()


def read_gguf(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Keys and tensors of a GGUF file, the tensors in float32.

    Args:
        path: the file.

    Raises:
        ArtifactError: no such file, or not one of GGUF.
    """
    gguf = gguf_package()
    if not path.is_file():
        raise ArtifactError(f"{path}: no such file")
    try:
        reader = gguf.GGUFReader(path)
        keys = {name: field.contents() for name, field in reader.fields.items()}
        tensors = {
            tensor.name: torch.from_numpy(
                np.array(gguf.quants.dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
            )
            for tensor in reader.tensors
        }
    except Exception as error:  # a damaged file makes the reader raise anything
        raise ArtifactError(f"{path}: not a readable GGUF file ({type(error).__name__}: {reason_of(error)})") from error
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ArtifactError(f"{path}: {name} holds a value that is not finite")
    return keys, tensors


def write_gguf(path: Path, arch: str, keys: dict[str, str | int | float], tensors: dict[str, Tensor]) -> None:
    """Write a GGUF file of float32 tensors.

    Args:
        path: the file.
        arch: ``general.architecture``.
        keys: strings, integers (written as u32) and floats (f32), by name.
        tensors: by name.
    """
    gguf = gguf_package()
    writer = gguf.GGUFWriter(str(path), arch)
    for name, value in keys.items():
        add = {str: writer.add_string, int: writer.add_uint32, float: writer.add_float32}[type(value)]
        add(name, value)
    for name, tensor in tensors.items():
        writer.add_tensor(name, tensor.float().contiguous().numpy())
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()
