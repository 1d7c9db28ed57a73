"""A look at a model without weights, before EasyEdit2 loads it: a wrong layer or name must not cost a load."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from ...model.load import base_folder, needs_this_loader
from ...model.sites import Site, check_site
from ...types import ConfigError, SteeringError

logger = logging.getLogger(__name__)

WRAPPED = {"llama": "llama", "qwen": "qwen", "gemma": "gemma", "gpt": "gpt"}
"""Beginning of a model type: what EasyEdit2 wants to see in the folder's name for a wrapper that fits it."""


def unknown_name(name: str) -> ConfigError:
    """The error for a model for whose name EasyEdit2 has no wrapper.

    Args:
        name: folder or Hugging Face id.
    """
    return ConfigError(
        f"EasyEdit2 chooses its wrapper by the model's name, and {name!r} holds none of llama, gpt, gemma, qwen, qwq: "
        f"give the folder, or a link to it, such a name{_fitting(name)}"
    )


def check_without_weights(name: str, sites: Sequence[str]) -> None:
    """Raise where the model lacks a site, on its shape alone; where that cannot be made, loading decides.

    Args:
        name: folder or Hugging Face id.
        sites: keys of the sites.

    Raises:
        ConfigError: the model has no such site.
    """
    if not sites:
        return
    place = base_folder(name) if needs_this_loader(name) else name
    if not Path(place).is_dir():
        return
    try:
        from transformers import AutoConfig, AutoModelForCausalLM

        config = AutoConfig.from_pretrained(place, trust_remote_code=False)
        with torch.device("meta"):
            shape = AutoModelForCausalLM.from_config(config, attn_implementation="eager", trust_remote_code=False)
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

        place = base_folder(name) if needs_this_loader(name) else name
        kind = str(AutoConfig.from_pretrained(place, trust_remote_code=False).model_type)
    except Exception:
        return ""
    fitting = next((word for start, word in WRAPPED.items() if kind.startswith(start)), None)
    return f" (a {kind} model: one with {fitting!r})" if fitting else ""
