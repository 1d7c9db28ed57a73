"""Strength m of the tokens of a forward pass as a float, one value per row, or one value per token."""

from __future__ import annotations

import numpy as np
import torch

from ...steering.forms.base import Factor
from ...types import FloatArray
from .launch import Inputs
from .tries import BoolArray


def strength_of(inputs: Inputs, device: torch.device) -> tuple[Factor, Factor]:
    """Strength ``(m1, m2)`` for ``attach`` and for forms: floats, ``[b]``, or ``[b n]`` where a row's tokens differ.

    Args:
        inputs: of a launch.
        device: where tensors are wanted.
    """
    steered = (inputs.m1 != 0) | (inputs.m2 != 0)
    return _plainest(inputs.m1, steered, device), _plainest(inputs.m2, steered, device)


def _plainest(m: FloatArray, steered: BoolArray, device: torch.device) -> Factor:
    values = m[steered]
    if not len(values):
        return 0.0
    if (values == values[0]).all():
        return float(values[0])
    low = np.where(steered, m, np.inf).min(1)
    high = np.where(steered, m, -np.inf).max(1)
    some = np.isfinite(low)
    if (low[some] == high[some]).all():
        return torch.from_numpy(np.where(some, low, 0.0)).to(device)
    return torch.from_numpy(m).to(device)
