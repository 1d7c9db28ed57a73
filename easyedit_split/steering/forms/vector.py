"""Steering vector (Table 1, row 3; Eq. 3):  h' = W h + b + m v,  that is dW = 0 and db = v.

v starts at zero, so training starts at the bare model; its first gradient is the activation gradient itself. As
EasyEdit2 trains it, v starts at random (``start: random``) and a scalar is learnt beside it, which shifts m in training
and is not applied afterwards (``m_shift``): dy = (m + c) v.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .base import FORMS, Form, Strength


@dataclass(frozen=True, slots=True)
class VectorConfig:
    """Settings of a steering vector.

    Attributes:
        start: ``zero``, or ``random``: uniform within 1 / sqrt(d_out).
        m_shift: learn a scalar c that is added to m in training, and only there.
    """

    start: Literal["zero", "random"] = "zero"
    m_shift: bool = False


@FORMS.register("vector")
class Vector(Form):
    """Steering vector: db = v, ``[d_out]``, on the block's output by default.

    Args:
        config: how it starts.
        d_in: width of the linear map's input.
        d_out: width of its output.
        generator: draws a random start.
    """

    name = "vector"
    config_class = VectorConfig
    default_site = "residual"
    skip_prefix = True
    constant = True
    config: VectorConfig

    def __init__(self, config: VectorConfig, d_in: int, d_out: int, generator: torch.Generator | None = None) -> None:
        super().__init__(config, d_in, d_out, generator)
        v = torch.zeros(d_out)
        if config.start == "random":
            v.uniform_(-1 / math.sqrt(d_out), 1 / math.sqrt(d_out), generator=generator)
        self.v = nn.Parameter(v)
        if config.m_shift:
            self.c = nn.Parameter(torch.zeros(1))

    def training_delta(self, x: Float[Tensor, "b s d_in"], m: Strength) -> Float[Tensor, "b s d_out"]:
        """The update that training sees, (m + c) v.

        Args:
            x: input of the linear map.
            m: as of ``delta``.
        """
        dy = self.delta(x, m)
        return dy + (self.c.to(dy.dtype) * self.v.to(dy.dtype)) if self.config.m_shift else dy

    def weight_product(self, x: Float[Tensor, "b s d_in"]) -> None:
        """None: a steering vector has no dW.

        Args:
            x: input of the linear map, unused.
        """

    def weight_delta(self) -> None:
        """None: a steering vector has no dW."""

    def bias_delta(self) -> Float[Tensor, " d_out"]:
        """The bias update db, the vector v."""
        return self.v
