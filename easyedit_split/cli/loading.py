"""The options of every command that loads a model, given to it as one ``LoadOptions``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from ..model.load_options import QUANTIZATIONS, LoadOptions
from .grouped import grouped

PARAMETER = "loading"
DEFAULTS = LoadOptions()
OPTIONS: dict[str, Any] = {
    "dtype": Annotated[
        str | None, typer.Option("--dtype", help="Data type: float32, bfloat16, float16, float64. Default: as saved.")
    ],
    "device": Annotated[str | None, typer.Option("--device", help="Device, e.g. cpu, cuda, cuda:1, auto.")],
    "attention": Annotated[
        str | None, typer.Option("--attention", help="Attention backend, e.g. sdpa, eager, flash_attention_2.")
    ],
    "revision": Annotated[str | None, typer.Option("--revision", help="Branch, tag or commit of a model on the hub.")],
    "quantize": Annotated[
        str | None, typer.Option("--quantize", help=f"Quantise weights on loading: {', '.join(QUANTIZATIONS)}.")
    ],
    "offload_folder": Annotated[
        str | None, typer.Option("--offload-folder", help="With --device auto: folder for what fits on no device.")
    ],
    "trust_remote_code": Annotated[
        bool, typer.Option("--trust-remote-code", help="Run Python code that the model's repository brings.")
    ],
}
"""Type and option of each field of ``LoadOptions``."""


def loads_model(command: Callable[..., None]) -> Callable[..., None]:
    """Replace a command's parameter ``loading`` by the options that say how a model is loaded.

    Args:
        command: a function with a parameter ``loading``, whose default is ``DEFAULTS``.
    """
    return grouped(PARAMETER, LoadOptions, OPTIONS)(command)
