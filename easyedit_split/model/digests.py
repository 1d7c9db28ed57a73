"""Digests of what a model's numbers depend on: every weight, its configuration, its generation settings, versions.

    weights = sha256(sorted: for each tensor sha256(shape, dtype, sums of its raw bits by row and by column))

so one changed value anywhere is another model, and one whose modules another tool has wrapped is not. It takes a
fraction of one forward pass, once a model: it is computed again where torch has counted a change.
"""

from __future__ import annotations

import hashlib
import json
import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

_WORDS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}

_WIDENED = 1 << 20
"""Elements that are added up at once."""


@torch.no_grad()
def weights_digest(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """SHA-256 digest of named tensors; on the meta device of their shapes alone.

    Args:
        tensors: names and values.
    """
    parts = [part for _, whole in tensors for part in _plain_parts(whole)]
    sums = [_tensor_sums(part) for part in parts]
    each = sorted(_tensor_digest(part, read) for part, read in zip(parts, _read_at_once(sums), strict=True))
    return hashlib.sha256(b"".join(each)).hexdigest()


def _tensor_digest(tensor: Tensor, sums: Tensor) -> bytes:
    digest = hashlib.sha256(f"{tuple(tensor.shape)} {tensor.dtype} ".encode())
    digest.update(sums.numpy().tobytes())
    return digest.digest()


def _tensor_sums(tensor: Tensor) -> Tensor:
    """Sums of a tensor's bits by column, then by row, on its device; nothing where it has no values."""
    if tensor.device.type == "meta" or not tensor.numel():
        return torch.empty(0, dtype=torch.int64)
    bits = tensor.detach().contiguous().view(_WORDS[tensor.element_size()])
    return torch.cat(_sums(bits.reshape(-1, tensor.shape[-1] if tensor.ndim else 1)))


def _read_at_once(values: Sequence[Tensor]) -> list[Tensor]:
    """Tensors on the CPU, by one read of each device."""
    read: list[Tensor] = list(values)
    for device in {value.device for value in values}:
        places = [place for place, value in enumerate(values) if value.device == device]
        joined = torch.cat([values[place] for place in places]).cpu()
        for place, value in zip(places, torch.split(joined, [len(values[place]) for place in places]), strict=True):
            read[place] = value
    return read


def _plain_parts(tensor: Tensor) -> Iterator[Tensor]:
    """The plain tensors that a tensor consists of: itself, or a quantised one's integers and scales."""
    if not hasattr(tensor, "__tensor_flatten__"):
        yield tensor
        return
    for name in tensor.__tensor_flatten__()[0]:
        yield from _plain_parts(getattr(tensor, name))


def _sums(bits: Tensor) -> tuple[Tensor, Tensor]:
    """Sums over rows and over columns, computed for some rows at a time to bound memory."""
    height, width = bits.shape
    some = min(height, max(1, _WIDENED // width))
    wide = torch.empty(some, width, dtype=torch.int64, device=bits.device)
    columns = torch.zeros(width, dtype=torch.int64, device=bits.device)
    rows = torch.empty(height, dtype=torch.int64, device=bits.device)
    for first in range(0, height, some):
        piece = wide[: min(some, height - first)].copy_(bits[first : first + some])
        columns += piece.sum(0)
        rows[first : first + some] = piece.sum(1)
    return columns, rows


_known: weakref.WeakKeyDictionary[nn.Module, tuple[Any, str]] = weakref.WeakKeyDictionary()
_VOLATILE = ("_name_or_path", "transformers_version", "dtype", "torch_dtype", "_attn_implementation", "architectures")
"""Keys of a configuration that say where it came from, or that a record holds by themselves."""


def model_digests(model: nn.Module) -> dict[str, str]:
    """Digests of a model's weights, configuration and generation settings.

    Args:
        model: a Hugging Face causal LM; of one whose weights are not all at hand (offloaded, or in parts on several
            devices' processes) that digest is empty: it is not known.
    """
    return {
        "weights": _weights(model),
        "config": settings_digest(getattr(model, "config", None)),
        "generation_config": settings_digest(getattr(model, "generation_config", None)),
    }


def _weights(model: nn.Module) -> str:
    if any(parameter.is_meta or _is_part(parameter) for parameter in model.parameters()):
        return ""
    tensors = [*model.named_parameters(), *model.named_buffers()]
    state = tuple((name, id(tensor), tensor.data_ptr(), _version(tensor)) for name, tensor in tensors)
    known = _known.get(model)
    if known is None or known[0] != state:
        known = state, weights_digest(model.named_parameters())
        _known[model] = known
    return known[1]


def _is_part(parameter: Tensor) -> bool:
    """Whether this process holds a part of a parameter alone: of a DTensor, or under DeepSpeed's ZeRO-3."""
    return hasattr(parameter, "device_mesh") or hasattr(parameter, "ds_id")


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


def settings_digest(config: Any) -> str:
    """SHA-256 digest of a configuration of transformers; empty where there is none.

    Args:
        config: of a model or of its generation.
    """
    if not hasattr(config, "to_dict"):
        return ""
    plain = _without(config.to_dict())
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()


def _without(settings: Any) -> Any:
    if not isinstance(settings, dict):
        return settings
    return {str(key): _without(value) for key, value in settings.items() if key not in _VOLATILE}


def versions() -> dict[str, str]:
    """Versions of the packages that the numbers depend on."""
    import numpy
    import transformers

    from .. import __version__

    return {
        "easyedit_split": __version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "numpy": numpy.__version__,
    }
