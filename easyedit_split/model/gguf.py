"""GGUF checkpoints: dequantised once into a cached checkpoint folder, which is found again by the file's hash.

transformers reads many GGUF architectures and turns their weights into floating point, which takes about twenty seconds
for 135 million parameters each time. The folder that is kept (``config.json``, fp32 safetensors, the tokenizer's files)
loads as any other. It appears whole or not at all, under the SHA-256 of the file: another file never finds it, the same
file under another name does.

| variable               | what it sets                                                                       |
|------------------------|------------------------------------------------------------------------------------|
| ``EASYEDIT_SPLIT_CACHE`` | the cache's folder; else ``easyedit_split`` in ``XDG_CACHE_HOME`` or in ``~/.cache`` |
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
from pathlib import Path
from typing import Any

import torch

from ..files.reading import reason_of
from ..storage import clear_all_leftovers, new_folder
from ..types import ConfigError

logger = logging.getLogger(__name__)

CACHE_VARIABLE = "EASYEDIT_SPLIT_CACHE"
SUFFIX = ".gguf"
_DAY = 86400.0
_LAYOUT = 1  # of the folder that is kept: a change of it makes new folders and leaves older ones alone


def is_gguf(name: str | Path) -> bool:
    """Whether ``name`` has the form of a GGUF file's name: it ends in ``.gguf``.

    Args:
        name: path or file name; the file need not exist.
    """
    return Path(name).suffix.lower() == SUFFIX


def cache_folder() -> Path:
    """The folder where converted checkpoints are cached; it need not exist yet."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "easyedit_split"


def converted(file: Path) -> Path:
    """Convert a GGUF file to a checkpoint folder on first use, and return the folder.

    Args:
        file: a ``.gguf`` file of an architecture that transformers reads.

    Raises:
        ConfigError: no such file, the reader (package ``gguf``) is missing, or transformers cannot read the file.
        StorageError: the cache's folder cannot be written.
    """
    folder = cache_folder() / "gguf" / f"{_sha256(file)[:32]}-{_LAYOUT}"
    if not (folder / "config.json").is_file():
        if importlib.util.find_spec("gguf") is None:
            raise ConfigError(f"{file}: reading a GGUF file needs the package gguf: pip install gguf")
        logger.info("reading %s for the first time: its weights will be kept in %s", file.name, folder)
        clear_all_leftovers(folder.parent, older=_DAY)
        with new_folder(folder) as place:
            _convert(file, place)
    return folder


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    try:
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror or error})") from error
    return digest.hexdigest()


def _convert(file: Path, folder: Path) -> None:
    """Write config, weights and tokenizer of ``file`` into ``folder``."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
        read = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    except Exception as error:  # a damaged or unknown file makes the readers raise anything
        reason = reason_of(error)
        raise ConfigError(f"{file}: transformers cannot read this GGUF file ({reason})") from error
    _unquantised(read).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _unquantised(model: Any) -> Any:
    """The same weights in a model without the file's quantisation settings, with which it could not be saved."""
    settings = model.config.to_dict()
    settings.pop("quantization_config", None)
    with torch.device("meta"):
        plain = type(model)(type(model.config)(**settings))
    plain.load_state_dict(model.state_dict(), assign=True)
    plain.tie_weights()
    plain.generation_config = model.generation_config
    return plain
