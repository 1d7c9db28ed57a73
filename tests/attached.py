"""Random interventions on tiny models, and the oracle of attaching: a copy with the change written into its weights."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from easyedit_split.model.sites import find_linear
from easyedit_split.steering.intervention import Intervention

IDS = torch.randint(3, 97, (2, 11), generator=torch.Generator().manual_seed(5))


def fill(module: nn.Module, scale: float, seed: int = 7) -> None:
    """Random values for every parameter."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)


def made(model: Any, name: str, layers: tuple[int, ...] = (1,), scale: float = 0.3, **settings: Any) -> Intervention:
    """An intervention with random parameters."""
    intervention = Intervention.create(model, name, layers, **settings)
    fill(intervention, scale)
    return intervention


def logits(model: Any, ids: Tensor = IDS, **kwargs: Any) -> Tensor:
    with torch.no_grad():
        out: Tensor = model(input_ids=ids, **kwargs).logits
    return out


def merged(model: Any, intervention: Intervention, m1: float, m2: float) -> Any:
    """A copy of the model with W + m1 dW and b + m2 db written into its weights: the oracle of what attaching does."""
    edited = copy.deepcopy(model)
    for site in intervention.sites:
        linear: Any = find_linear(edited, site)
        form = intervention.on(model, site)
        dW, db = form.weight_delta(), form.bias_delta()
        with torch.no_grad():
            if dW is not None:
                linear.weight += m1 * dW.to(linear.weight.dtype)
            if db is not None:
                bias = torch.zeros_like(linear.weight[:, 0]) if linear.bias is None else linear.bias
                linear.bias = nn.Parameter(bias + m2 * db.to(bias.dtype))
    return edited
