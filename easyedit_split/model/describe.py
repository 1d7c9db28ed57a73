"""What a loaded model is: the record that an artifact keeps, by which a difference on loading is noticed.

Adapters are those that act in the model as it is: the active ones, and those merged into the weights. Each is known by
its kind, its name and a hash over its parameters, so that another adapter of the same name is another one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


def name_of(model: nn.Module, given: str | None = None) -> str:
    """The name of a model in records and tables: as given, else as it was loaded; empty where unknown.

    Args:
        model: a Hugging Face causal LM.
        given: the caller's own name for it.
    """
    return recorded_name(given or str(getattr(model.config, "_name_or_path", None) or ""))


def recorded_name(name: str) -> str:
    """A model's name as records, tables and exported files keep it: the id on the hub, of a local folder or file its
    own name without the folders that it stands in.

    Args:
        name: an id, a short name or a path.
    """
    path = Path(name)
    local = path.is_absolute() or path.parts[:1] == ("..",) or name.startswith(("./", "~")) or os.path.lexists(name)
    if not name or not local:
        return name
    return path.name if path.name not in ("", "..") else path.resolve().name


def describe(model: nn.Module, name: str, revision: str | None = None) -> dict[str, Any]:
    """The record of a model that an artifact keeps: id, revision, shape, dtype, attention, quantisation, adapters.

    Args:
        model: a Hugging Face causal LM.
        name: its id or path; ``name_of`` finds it where the caller knows none.
        revision: what was asked for; a commit that the model itself knows comes first.
    """
    config: Any = model.config
    text = config.get_text_config()
    return {
        "id": recorded_name(name),
        "revision": getattr(config, "_commit_hash", None) or revision,
        "model_type": config.model_type,
        "hidden_size": int(text.hidden_size),
        "num_hidden_layers": int(text.num_hidden_layers),
        "dtype": str(next(model.parameters()).dtype).removeprefix("torch."),
        "attention": config._attn_implementation,
        "quantization": quantization_of(model),
        "adapters": adapters_of(model),
    }


def quantization_of(model: nn.Module) -> str:
    """How a model's weights are quantised, as text: method and settings; ``none`` where they are not.

    Args:
        model: a Hugging Face causal LM.
    """
    config: Any = getattr(model.config, "quantization_config", None)
    if config is None:
        return "none"
    settings: Mapping[str, Any] = config if isinstance(config, Mapping) else config.to_dict()
    method = settings.get("quant_method", type(config).__name__)
    kind = settings.get("quant_type")
    if isinstance(kind, Mapping):  # torchao's, by scheme
        kind = ", ".join(str(one.get("_type", one)) if isinstance(one, Mapping) else str(one) for one in kind.values())
    words = {key: value for key, value in settings.items() if _says(key, value)}
    shown = [f"{key}={value}" for key, value in sorted(words.items())] + ([f"quant_type={kind}"] if kind else [])
    return " ".join([str(getattr(method, "value", method)), *shown])


def _says(key: str, value: Any) -> bool:
    """Whether a setting of a quantisation is one of its own: a number or a word, and not off."""
    if key.startswith("_") or key in ("quant_method", "quant_type") or not isinstance(value, bool | int | float | str):
        return False
    return value is not False


def adapters_of(model: nn.Module) -> list[str]:
    """The adapters that act in a model, each as kind, name and hash of its parameters, in order of names.

    Args:
        model: a Hugging Face causal LM, with adapters of PEFT or without.
    """
    acting: dict[str, hashlib._Hash] = {}
    for path, layer in model.named_modules():
        place = path.removeprefix("base_model.model.")  # PEFT's own two modules around the model
        for name in _acting_in(layer):
            digest = acting.setdefault(name, hashlib.sha256())
            for key, parameter in sorted(layer.named_parameters()):
                if name in key.split("."):
                    digest.update(f"\0{place}\0{key}\0{parameter.dtype}\0{tuple(parameter.shape)}\0".encode())
                    digest.update(_bytes(parameter))
    kinds = getattr(model, "peft_config", {})
    return [f"{_kind(kinds.get(name))} {name} {digest.hexdigest()[:12]}" for name, digest in sorted(acting.items())]


def has_adapter(layer: nn.Module) -> bool:
    """Whether an adapter of PEFT acts in a module, beside its weight and not merged into it.

    Args:
        layer: any module.
    """
    return bool(_acting_in(layer)) and not getattr(layer, "merged", False)


def _acting_in(layer: nn.Module) -> list[str]:
    """Names of the adapters that act in a layer of PEFT; none for any other module."""
    if not hasattr(type(layer), "adapter_layer_names"):
        return []
    merged = list(getattr(layer, "merged_adapters", []))
    if layer.disable_adapters:
        return merged
    names: Any = layer.active_adapters
    return list(dict.fromkeys([*names, *merged]))


def _kind(config: Any) -> str:
    kind = getattr(config, "peft_type", "adapter")
    return str(getattr(kind, "value", kind)).lower()


@torch.no_grad()
def _bytes(parameter: Tensor) -> bytes:
    if parameter.is_meta:
        return b""
    return parameter.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
