"""Gradients switched on while training, whatever the caller switched off (``no_grad``, ``inference_mode``)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from ..types import ConfigError


@contextmanager
def gradients_on(model: nn.Module) -> Iterator[None]:
    """Switch gradients on while inside, and back to the caller's setting afterwards.

    Args:
        model: that gradients pass through.

    Raises:
        ConfigError: its parameters were made under ``torch.inference_mode``, so that none can pass.
    """
    if any(parameter.is_inference() for parameter in model.parameters()):
        raise ConfigError(
            "the model was loaded under torch.inference_mode(), and no gradient passes through such parameters: load "
            "it outside (torch.no_grad() does no harm)"
        )
    with torch.inference_mode(False), torch.enable_grad():
        yield
