"""Keys of a YAML file that say how the model is loaded, besides EasyEdit2's own ``dtype`` and ``device``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

LOADING = ("attention", "revision", "quantize", "offload_folder", "trust_remote_code")


@dataclass
class LoadFields:
    """Keys of loading, as ``load_model`` takes them; without any the host loads its model itself.

    Attributes:
        attention: attention backend.
        revision: branch, tag or commit on the hub.
        quantize: ``bnb-4bit``, ``bnb-8bit`` or ``torchao-int8``.
        offload_folder: folder for weights that fit on no device.
        trust_remote_code: run Python code that the model's repository brings.
    """

    attention: Any = None
    revision: Any = None
    quantize: Any = None
    offload_folder: Any = None
    trust_remote_code: Any = None
