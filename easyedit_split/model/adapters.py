"""A folder that PEFT wrote as the model: its base is loaded, the adapter is put in, and every tensor is checked.

    adapter_config.json    names the base model, as any model is named here; ``adapter_model.safetensors``

The adapter stays an adapter: its base's weights are not changed, and what an artifact records is both. Adapters that
are tokens in front of the text (prompt tuning, prefix tuning) move every position and are refused.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..files.reading import read_bounded
from ..types import ConfigError

CONFIG = "adapter_config.json"
_TOKEN_ADAPTERS = ("PROMPT_TUNING", "PREFIX_TUNING", "P_TUNING", "MULTITASK_PROMPT_TUNING", "ADAPTION_PROMPT", "CPT")


def is_adapter(path: str) -> bool:
    """Whether a folder holds an adapter without a model of its own.

    Args:
        path: a folder, or anything else, which is none.
    """
    folder = Path(path)
    return (folder / CONFIG).is_file() and not (folder / "config.json").is_file()


def base_of(path: str) -> str:
    """Name of the model that an adapter was trained on.

    Args:
        path: its folder.

    Raises:
        ConfigError: its configuration cannot be read, names no base, or is of a kind that adds tokens.
    """
    file = Path(path) / CONFIG
    try:
        config = json.loads(read_bounded(file, ConfigError).decode("utf-8"))
        base, kind = config.get("base_model_name_or_path"), config.get("peft_type")
    except (OSError, UnicodeDecodeError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"{file}: not a readable adapter configuration ({' '.join(str(error).split())[:120]})"
        ) from error
    refuse_tokens(kind, str(file))
    if not isinstance(base, str) or not base:
        raise ConfigError(f"{file}: names no base_model_name_or_path: write the base model's id or folder there")
    return base


def refuse_tokens(kind: Any, where: str) -> None:
    """Raise for a kind of adapter that puts tokens in front of the text.

    Args:
        kind: PEFT's name of it.
        where: what the adapter is called in messages.

    Raises:
        ConfigError: it is of that kind.
    """
    name = str(getattr(kind, "value", kind))
    if name in _TOKEN_ADAPTERS:
        raise ConfigError(
            f"{where}: an adapter of kind {name} adds tokens of its own, so that a token's place is not the one in the "
            "text: only adapters of weights (LoRA, IA3, ...) can be steered"
        )


def refuse_token_adapters(model: nn.Module) -> None:
    """Raise where a model carries an adapter that puts tokens in front of the text.

    Args:
        model: a Hugging Face causal LM, or a ``PeftModel``.

    Raises:
        ConfigError: it does.
    """
    for name, config in dict(getattr(model, "peft_config", None) or {}).items():
        refuse_tokens(getattr(config, "peft_type", None), f"the model's adapter {name!r}")


def put_in(model: nn.Module, path: str) -> nn.Module:
    """Put an adapter into its base model; returned is the base model, whose maps now carry it.

    Args:
        model: the base, as it was loaded.
        path: the adapter's folder.

    Raises:
        ConfigError: a tensor is missing, unknown to the model, or of another shape.
    """
    from peft import PeftModel, get_peft_model_state_dict
    from peft.utils import load_peft_weights

    stored = load_peft_weights(path, device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of PEFT's own use of transformers
        warnings.filterwarnings("ignore", "Found missing adapter keys")  # an error below
        wrapped: Any = PeftModel.from_pretrained(model, path)
    found = get_peft_model_state_dict(wrapped)
    differ = sorted(set(stored).symmetric_difference(found))
    if differ:
        whose = "the file lacks it" if differ[0] in found else "the model has no place for it"
        raise ConfigError(f"adapter {path!r} does not fit its base model: {len(differ)} tensors, {differ[0]} ({whose})")
    wrong = [key for key in sorted(stored) if not _same(stored[key], found[key])]
    if wrong:
        raise ConfigError(f"adapter {path!r} was not read as it is stored: {len(wrong)} tensors, {wrong[0]} among them")
    base: nn.Module = wrapped.get_base_model()
    return base


def _same(stored: torch.Tensor, found: torch.Tensor) -> bool:
    return found.is_meta or torch.equal(stored.to(found.dtype), found.detach().cpu())
