"""Loading of causal LMs and their tokenizers, without running code from a repository.

| name             | what is loaded                                                                |
|------------------|-------------------------------------------------------------------------------|
| ``ORG/MODEL``      | from the Hugging Face hub or its local cache                                  |
| ``FOLDER``         | that folder                                                                   |
| ``FILE.gguf``      | that file, dequantised once and kept, see ``model.gguf``                        |
| ``smollm2``        | a small chat model that the package index carries, see ``model.smollm2``        |
| ``testbed:NAME``   | a model shipped with this package: ``gemma2`` or ``qwen2``                        |

Gemma-2 is defined with soft-capped attention, which ``sdpa`` drops or refuses: ``eager`` is what is loaded for it, and
for every model with ``attn_logit_softcapping``, unless the caller asks for another backend. A model that reads images
besides is loaded whole and steered as text. Before the weights are read the model is built without them, on the meta
device, so that one whose blocks or maps cannot be found is refused at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..files.reading import cut
from ..registry import nearest
from ..types import ConfigError, SteeringError
from . import smollm2
from .gguf import converted, is_gguf
from .sites import Site, attention_of, blocks_of, check_site

logger = logging.getLogger(__name__)

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}
TESTBED = "testbed:"


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
class ShortName:
    """A short name for a model, e.g. ``smollm2``, and where its files are.

    Attributes:
        source: says what to load: a folder, a ``.gguf`` file or a hub id.
        advice: what to do where that cannot be had.
    """

    source: Callable[[], str]
    advice: str


SHORT_NAMES: Mapping[str, ShortName] = {smollm2.NAME: ShortName(smollm2.source, smollm2.HOW_TO_GET_IT)}


def model_path(name: str) -> str:
    """Resolve a model's name to what transformers loads: a folder or a hub id; see the module's table.

    Args:
        name: as the user wrote it.

    Raises:
        ConfigError: a testbed model that there is not, or a GGUF file that cannot be read.
        StorageError: a GGUF file's weights cannot be kept.
    """
    if name.startswith(TESTBED):
        from ..testbed.models import (
            checkpoint_folder,
        )  # the testbed stands above the models, so it is not loaded with them

        return str(checkpoint_folder(name.removeprefix(TESTBED)))
    found = SHORT_NAMES[name].source() if name in SHORT_NAMES else name
    return str(converted(Path(found))) if is_gguf(found) else found


def load_model(
    name: str,
    *,
    dtype: torch.dtype | str | None = None,
    device: str | None = None,
    attention: str | None = None,
    revision: str | None = None,
    sites: Sequence[str] = (),
) -> tuple[nn.Module, Any]:
    """Load a causal LM and its tokenizer, in evaluation mode.

    Args:
        name: a Hugging Face id, a folder, a ``.gguf`` file, ``smollm2``, or ``testbed:gemma2`` / ``testbed:qwen2``.
        dtype: the checkpoint's own where None (float32 for the testbed).
        device: a torch device, or ``auto`` to spread a large model over the devices there are; default: CUDA if any.
        attention: attention backend; the family's own where None.
        revision: branch, tag or commit on the Hub; the default branch where None.
        sites: names of maps that will be steered, e.g. ``("14.mlp.down_proj",)``; looked for before weights are read.

    Returns:
        ``(model, tokenizer)``.

    Raises:
        ConfigError: the model cannot be found or loaded, its files lack a parameter, its blocks cannot be found, or it
            lacks one of the sites.
    """
    from transformers import AutoConfig

    path = model_path(name)
    if dtype is None and name.startswith(TESTBED):
        dtype = torch.float32
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        config = AutoConfig.from_pretrained(path, revision=revision)
        own_attention = _defined_attention(config)
        kind, shell = _shell(config)
        _require_sites(shell, sites)
        model, loaded = kind.from_pretrained(
            path,
            revision=revision,
            dtype=parse_dtype(dtype) if isinstance(dtype, str) else dtype or "auto",
            device_map="auto" if device == "auto" else None,
            attn_implementation=attention or own_attention,
            output_loading_info=True,
        )
        tokenizer = _load_tokenizer(path, revision)
        if device != "auto":
            model.to(device)
    except SteeringError:
        raise
    except Exception as error:  # of a damaged folder, transformers and its parts raise anything
        where = "" if Path(path).exists() else " (no such folder here, and not found on the hub)"
        advice = f"; {SHORT_NAMES[name].advice}" if name in SHORT_NAMES else ""
        reason = cut(" ".join(str(error).split()), 160)
        raise ConfigError(f"model {name!r} cannot be loaded{where}: {reason}{advice}") from error
    _require_whole(name, loaded["missing_keys"])
    model.config._name_or_path = name  # `testbed:NAME` rather than the folder that it stands for
    model.eval()
    return model, tokenizer


def _load_tokenizer(path: str, revision: str | None) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(path, revision=revision)
    special = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
    if special.issuperset(tokenizer.get_vocab().values()):  # what transformers makes of a folder without its files
        raise OSError("it has no tokenizer: put the tokenizer's own files (tokenizer.json) beside the weights")
    return tokenizer


def _require_whole(name: str, missing_keys: Collection[str]) -> None:
    missing = sorted(missing_keys)
    if missing:
        raise ConfigError(
            f"model {name!r}: its files lack {len(missing)} parameters, {missing[0]} among them; "
            "transformers would fill them with random numbers"
        )


def _require_sites(shell: nn.Module, sites: Sequence[str]) -> None:
    blocks_of(shell)
    for site in sites:
        check_site(shell, Site.parse(site))


def _defined_attention(config: Any) -> str | None:
    shell = nn.Module()
    shell.config = config
    return attention_of(shell)


def _shell(config: Any) -> tuple[Any, nn.Module]:
    """The class that loads a configuration's models, for text first, and one of them without weights."""
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    with torch.device("meta"):
        try:
            return AutoModelForCausalLM, AutoModelForCausalLM.from_config(config, attn_implementation="eager")
        except ValueError as error:
            if "nrecognized configuration class" not in str(error):
                raise
            try:
                shell = AutoModelForImageTextToText.from_config(config, attn_implementation="eager")
            except ValueError:
                raise error from None
            return AutoModelForImageTextToText, shell


def name_of(model: nn.Module, given: str | None = None) -> str:
    """The name of a model in records and tables: as given, else as it was loaded; empty where unknown.

    Args:
        model: a Hugging Face causal LM.
        given: the caller's own name for it.
    """
    return given or str(getattr(model.config, "_name_or_path", None) or "")


def describe(model: nn.Module, name: str, revision: str | None = None) -> dict[str, Any]:
    """The record of a model that an artifact keeps: id, revision, shape, dtype, attention backend.

    Args:
        model: a Hugging Face causal LM.
        name: its id; ``name_of`` finds it where the caller knows none.
        revision: what was asked for; a commit that the model itself knows comes first.
    """
    config: Any = model.config
    text = config.get_text_config()
    return {
        "id": name,
        "revision": getattr(config, "_commit_hash", None) or revision,
        "model_type": config.model_type,
        "hidden_size": int(text.hidden_size),
        "num_hidden_layers": int(text.num_hidden_layers),
        "dtype": str(next(model.parameters()).dtype).removeprefix("torch."),
        "attention": config._attn_implementation,
    }
