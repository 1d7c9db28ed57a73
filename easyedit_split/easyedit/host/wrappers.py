"""Access to the modules inside EasyEdit2's wrappers, which enclose every decoder block, its attention and its MLP.

    model.layers.5.mlp.down_proj   is   model.layers.5.block.mlp.mlp.down_proj   in a wrapped model

``install`` registers them, and from then on every walk through a model looks through them; they are told by the names
of their classes, so that nothing of the host is imported.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Any

from torch import nn

from ...config import TokenConfig
from ...model.sites import attention_of
from ...model.wrappers import register_wrapper, unwrap
from ...text.template_dates import date_string, is_dated
from ...types import ConfigError

logger = logging.getLogger(__name__)

WRAPPERS = {"BlockOutputWrapper": "block", "MLPWrapper": "mlp", "AttnWrapper": "attn", "Hack_no_grad": "module"}
"""Class name of each of the host's wrappers, and the submodule it stands around."""


def install() -> None:
    """Register EasyEdit2's wrapper classes so that the package unwraps them; doing so twice is harmless."""
    for class_name, inner in WRAPPERS.items():
        register_wrapper(class_name, inner)


@contextmanager
def taken_off(model: nn.Module) -> Iterator[None]:
    """Context with the model's own modules in place of the wrappers, where no wrapper steers or has steered.

    The wrappers compute the MLP's gate and up projections a second time in every call and hide the blocks from the
    engine. Afterwards, also after an exception, every wrapper stands where it stood.

    Args:
        model: the Hugging Face model of an EasyEdit2 wrapper.
    """
    places = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if type(child).__name__ in WRAPPERS and unwrap(child) is not child
    ]
    idle = not any(
        getattr(child, "intervention_dict", None) or getattr(child, "add_activations_dict", None)
        for _, _, child in places
    )
    try:
        for parent, name, child in places if idle else ():
            parent._modules[name] = unwrap(child)
        yield
    finally:
        for parent, name, child in places:
            parent._modules[name] = child


def layers_of(wrapper: Any) -> Sequence[Any]:
    """The wrapped decoder blocks (``BlockOutputWrapper``) of an EasyEdit2 model, in order.

    Args:
        wrapper: EasyEdit2's model wrapper.

    Raises:
        ConfigError: the model holds none.
    """
    for module in wrapper.model.modules():
        if isinstance(module, nn.ModuleList) and len(module) and type(module[0]).__name__ == "BlockOutputWrapper":
            return list(module)
    raise ConfigError(f"{type(wrapper).__name__} holds no wrapped blocks: it was not loaded by EasyEdit2's get_model")


def use_defined_attention(model: Any) -> None:
    """Select an attention backend that computes the model as defined: some ignore Gemma-2's soft-cap.

    Args:
        model: a Hugging Face causal LM.
    """
    backend = attention_of(model)
    if backend is not None and model.config._attn_implementation != backend:
        logger.warning("attention %s instead of %s: it drops the soft-cap", backend, model.config._attn_implementation)
        model.set_attn_implementation(backend)


def tokens_of(wrapper: Any) -> TokenConfig:
    """Token settings of a wrapper: chat template and system prompt as it was loaded with.

    Args:
        wrapper: EasyEdit2's model wrapper.
    """
    hparams = getattr(wrapper, "hparams", None)
    tokens = as_host_writes(
        bool(getattr(wrapper, "use_chat", False)),
        getattr(hparams, "system_prompt", None),
        getattr(hparams, "enable_thinking", None),
    )
    return read_by_template(TokenConfig(**tokens), wrapper.tokenizer)


def as_host_writes(use_chat: bool, system: str | None, enable_thinking: bool | None) -> dict[str, Any]:
    """Token settings under which prompts are written as EasyEdit2 writes them before it generates.

    Args:
        use_chat: ``use_chat_template``.
        system: ``system_prompt``; empty or None for none.
        enable_thinking: given to the chat template; None where it is not.
    """
    template = {} if enable_thinking is None else {"enable_thinking": enable_thinking}
    chat = "auto" if use_chat else "off"
    return {"chat_template": chat, "system": system or None, "template": template, "style": "easyedit2"}


def read_by_template(tokens: TokenConfig, tokenizer: Any) -> TokenConfig:
    """Token settings without arguments that no chat template in use reads, which EasyEdit2 gives in vain; it is said.

    So is a template that writes today's date, which is another than the fixed one here.

    Args:
        tokens: the settings.
        tokenizer: the model's.
    """
    source = str(tokenizer.chat_template or "") if tokens.chat_template != "off" else ""
    unread = [name for name in tokens.template if name not in source]
    _say_dated(source)
    if unread:
        logger.warning("%s: accepted, but no chat template in use reads it", ", ".join(unread))
    return replace(tokens, template={k: v for k, v in tokens.template.items() if k not in unread})


@lru_cache(maxsize=8)
def _say_dated(source: str) -> None:
    """Warn, once for a chat template, that EasyEdit2 generates under another date than training and scoring write."""
    if is_dated(source):
        logger.warning(
            "the chat template writes today's date: EasyEdit2 generates with it, training and scoring here write "
            "%s on every day; the opening is left alone under either",
            date_string(),
        )
