"""Load a model by EasyEdit2's ``get_model``, after a look at it without weights: a wrong layer must not cost a load."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ...model.sites import Site, check_site
from ...types import ConfigError, SteeringError
from .wrappers import use_defined_attention

logger = logging.getLogger(__name__)

WRAPPED = {"llama": "llama", "qwen": "qwen", "gemma": "gemma", "gpt": "gpt"}
"""Beginning of a model type: what EasyEdit2 wants to see in the folder's name for a wrapper that fits it."""


def load_wrapper(hparams: Any, sites: Sequence[str] = ()) -> Any:
    """EasyEdit2's wrapper of the model that the settings name.

    Args:
        hparams: the host's.
        sites: keys of the sites that will be steered, looked for before the weights are read.

    Raises:
        ConfigError: the model has no such site, or EasyEdit2 has no wrapper for its name.
    """
    from steer.models.get_model import get_model

    name = str(hparams.model_name_or_path)
    if not getattr(hparams, "vllm_enable", False):
        check_without_weights(name, sites)
    try:
        wrapper, _ = get_model(hparams)
    except ValueError as error:
        if "not supported" not in str(error):
            raise
        raise ConfigError(
            f"EasyEdit2 chooses its wrapper by the model's name, and {name!r} holds none of llama, gpt, gemma, qwen, "
            f"qwq: give the folder, or a link to it, such a name{_fitting(name)}"
        ) from error
    if wrapper.model is not None:
        use_defined_attention(wrapper.model)
    return wrapper


def check_without_weights(name: str, sites: Sequence[str]) -> None:
    """Raise where the model lacks a site, on its shape alone; where that cannot be made, loading decides.

    Args:
        name: folder or Hugging Face id.
        sites: keys of the sites.

    Raises:
        ConfigError: the model has no such site.
    """
    if not sites or not Path(name).is_dir():
        return
    try:
        from transformers import AutoConfig, AutoModelForCausalLM

        config = AutoConfig.from_pretrained(name)
        with torch.device("meta"):
            shape = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
        for key in sites:
            check_site(shape, Site.parse(key))
    except SteeringError:
        raise
    except Exception as error:
        logger.info("%s: not looked at before loading (%s)", name, type(error).__name__)


def _fitting(name: str) -> str:
    """Which name fits the model's own type, where its configuration can be read."""
    try:
        from transformers import AutoConfig

        kind = str(AutoConfig.from_pretrained(name).model_type)
    except Exception:
        return ""
    fitting = next((word for start, word in WRAPPED.items() if kind.startswith(start)), None)
    return f" (a {kind} model: one with {fitting!r})" if fitting else ""
