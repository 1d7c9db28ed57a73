"""The settings under which ``generate`` runs: this package's own, and of the model's folder what shapes its logits.

A folder's ``generation_config.json`` may ask for anything: several answers, another way of decoding, a cache of another
kind, a dictionary in place of ids. Here it is set aside while text is written. What is kept of it are the settings of
``SHAPING``, which change the distribution that the next token comes from and nothing else, and its end tokens.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

from torch import nn
from transformers import GenerationConfig

from ..model.sites import called_modules

NAME = "generation_config"
logger = logging.getLogger(__name__)

SHAPING = (
    "repetition_penalty",
    "encoder_repetition_penalty",
    "no_repeat_ngram_size",
    "bad_words_ids",
    "suppress_tokens",
    "begin_suppress_tokens",
    "sequence_bias",
    "exponential_decay_length_penalty",
)
"""Settings of a folder that shape its logits, under greedy decoding too."""
SAMPLING = ("top_k", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff")
"""And under sampling; temperature and top-p are ``GenerateConfig``'s."""
REPLACED = (
    *("max_length", "max_new_tokens", "do_sample", "temperature", "top_p", "num_beams", "use_cache", "cache_config"),
    *("bos_token_id", "eos_token_id", "pad_token_id", "transformers_version", "cache_implementation"),
)
"""Settings that ``GenerateConfig``, the template or the loop of decoding decide: leaving them out is no loss."""

_SAID: WeakSet[nn.Module] = WeakSet()


def own_config(model: nn.Module, sampling: bool, **settings: Any) -> GenerationConfig:
    """The configuration of one ``generate``: the given settings, and what shapes the logits of the model's own.

    Args:
        model: a Hugging Face causal LM.
        sampling: whether tokens are drawn.
        **settings: length, beams, ids and the like.
    """
    kept = SHAPING + (SAMPLING if sampling else ())
    own = _set(model)
    return GenerationConfig(**{name: own[name] for name in kept if name in own}, **settings)


def not_followed(model: nn.Module) -> tuple[str, ...]:
    """Names of the settings in a model's own generation configuration that are not followed here.

    Args:
        model: a Hugging Face causal LM.
    """
    known = {*SHAPING, *SAMPLING, *REPLACED}
    return tuple(sorted(name for name in _set(model) if name not in known))


def _set(model: nn.Module) -> dict[str, Any]:
    """What a model's own configuration sets to another value than transformers' defaults."""
    config: Any = getattr(model, "generation_config", None)
    if config is None:
        return {}
    plain = GenerationConfig().to_dict()
    usual = {**plain, **getattr(GenerationConfig, "_get_default_generation_params", dict)()}
    found = config.to_dict()
    return {
        name: value
        for name, value in found.items()
        if not name.startswith("_") and value not in (None, False) and value not in (plain.get(name), usual.get(name))
    }


@contextmanager
def own_settings(model: nn.Module) -> Iterator[None]:
    """Take a model's own generation configuration away while inside; what is thereby left out is logged once.

    Args:
        model: a Hugging Face causal LM.
    """
    names = not_followed(model)
    if names and model not in _SAID:
        _SAID.add(model)
        logger.warning("of the model's own generation_config these are not followed here: %s", ", ".join(names))
    before = {module: vars(module).get(NAME) for module in (model, *called_modules(model))}
    for module in before:
        if before[module] is not None or module is model:
            vars(module)[NAME] = GenerationConfig()
    try:
        yield
    finally:
        for module, own in before.items():
            vars(module).pop(NAME, None)
            if own is not None:
                vars(module)[NAME] = own
