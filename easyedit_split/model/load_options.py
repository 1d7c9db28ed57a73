"""How a model is loaded: one set of options for Python, the command line and EasyEdit2, and quantisation by name.

| quantize         | weights of the blocks' linear maps                    | package                      |
|------------------|-------------------------------------------------------|------------------------------|
| ``bnb-4bit``       | 4-bit NormalFloat (NF4), blocks of 64                 | ``pip install bitsandbytes``   |
| ``bnb-8bit``       | LLM.int8(): int8 rows, outliers in 16 bits            | ``pip install bitsandbytes``   |
| ``torchao-int8``   | int8 per output row, weights only                     | ``pip install torchao``        |

Embeddings and output embedding stay as they are. The products are computed in the model's dtype.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..config import require
from ..registry import nearest
from ..types import ConfigError

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}


def parse_dtype(name: str) -> torch.dtype:
    """A torch dtype by name.

    Args:
        name: e.g. ``bfloat16``.

    Raises:
        ConfigError: none of ``DTYPES``.
    """
    if name not in DTYPES:
        raise ConfigError(f"unknown dtype {name!r}{nearest(name, tuple(DTYPES))}")
    return DTYPES[name]


@dataclass(frozen=True, slots=True)
class Quantization:
    """A way to quantise weights while they are loaded.

    Attributes:
        package: what has to be installed.
        settings: transformers' configuration of it, for products in a given dtype.
    """

    package: str
    settings: Callable[[torch.dtype], Any]


def _bnb_4bit(dtype: torch.dtype) -> Any:
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)


def _bnb_8bit(dtype: torch.dtype) -> Any:
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(load_in_8bit=True)


def _torchao_int8(dtype: torch.dtype) -> Any:
    from torchao.quantization import Int8WeightOnlyConfig
    from transformers import TorchAoConfig

    return TorchAoConfig(Int8WeightOnlyConfig())


QUANTIZATIONS: Mapping[str, Quantization] = {
    "bnb-4bit": Quantization("bitsandbytes", _bnb_4bit),
    "bnb-8bit": Quantization("bitsandbytes", _bnb_8bit),
    "torchao-int8": Quantization("torchao", _torchao_int8),
}


def quantization_named(name: str) -> Quantization:
    """A way to quantise weights, by name.

    Args:
        name: one of ``QUANTIZATIONS``.

    Raises:
        ConfigError: another name, or its package is not installed.
    """
    if name not in QUANTIZATIONS:
        raise ConfigError(f"unknown quantize {name!r}{nearest(name, tuple(QUANTIZATIONS))}")
    found = QUANTIZATIONS[name]
    if importlib.util.find_spec(found.package) is None:
        raise ConfigError(f"quantize {name} needs the package {found.package}: pip install {found.package}")
    return found


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """Options of loading a model; a None leaves the choice to the checkpoint or its family.

    Attributes:
        dtype: e.g. ``bfloat16``; the checkpoint's own where None (float32 for the testbed).
        device: a torch device, or ``auto`` to spread a large model over the devices there are; CUDA if any where None.
        attention: attention backend, e.g. ``sdpa`` or ``eager``; the family's own where None.
        revision: branch, tag or commit on the Hub; the default branch where None.
        quantize: ``bnb-4bit``, ``bnb-8bit`` or ``torchao-int8``; the checkpoint's own precision where None.
        offload_folder: folder for weights that fit on no device, with ``device="auto"``.
        trust_remote_code: run Python code that the model's repository brings.
    """

    dtype: str | None = None
    device: str | None = None
    attention: str | None = None
    revision: str | None = None
    quantize: str | None = None
    offload_folder: str | None = None
    trust_remote_code: bool = False

    @property
    def torch_dtype(self) -> torch.dtype | str:
        """The dtype as transformers takes it.

        Raises:
            ConfigError: there is no such dtype.
        """
        return "auto" if self.dtype is None else parse_dtype(self.dtype)

    @property
    def chosen_device(self) -> str:
        """The device that was asked for, else the first GPU, else the CPU."""
        return self.device or ("cuda" if torch.cuda.is_available() else "cpu")

    @property
    def placed_by_hand(self) -> bool:
        """Whether the model is moved to its device when it is loaded; quantised weights are made where they stay."""
        return self.device != "auto" and self.quantize is None

    @property
    def device_map(self) -> Any:
        """Where transformers puts the weights; None to leave them on the CPU."""
        if self.device == "auto":
            return "auto"
        return None if self.quantize is None else {"": self.chosen_device}

    def require_possible(self, path: str) -> None:
        """Raise for options that contradict each other, or the model's place, before anything is read.

        Args:
            path: folder or hub id of the model.

        Raises:
            ConfigError: an option without use here, an unknown dtype or quantisation, or a missing package.
        """
        require(
            self.revision is None or not Path(path).exists(),
            f"revision {self.revision}: only a model on the hub has revisions, and this one is a folder: leave it out",
        )
        require(
            self.offload_folder is None or self.device == "auto",
            "offload_folder is for weights that fit on no device: give it with device auto, or leave it out",
        )
        require(self.device != "meta", "device meta holds no weights: choose cpu, cuda or auto")
        if self.dtype is not None:
            parse_dtype(self.dtype)
        if self.quantize is not None:
            quantization_named(self.quantize)

    def quantization(self, config: Any) -> Any:
        """Transformers' configuration of the quantisation that was asked for.

        Args:
            config: the model's.

        Raises:
            ConfigError: none was, or the checkpoint is quantised already.
        """
        require(self.quantize is not None, "no quantisation was asked for")
        require(
            getattr(config, "quantization_config", None) is None,
            f"quantize {self.quantize}: this checkpoint is quantised already: leave the option out",
        )
        own = getattr(config, "dtype", None)
        dtype = self.torch_dtype if self.dtype is not None else own
        return quantization_named(str(self.quantize)).settings(
            dtype if isinstance(dtype, torch.dtype) else torch.float32
        )
