"""Steering vector (Table 1, row 3; Eq. 3):  h' = W h + b + m v,  that is dW = 0 and db = v.

v starts at zero, so training starts at the bare model; its first gradient is the activation gradient itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .base import FORMS, Form


@dataclass(frozen=True, slots=True)
class VectorConfig:
    """Settings of a steering vector: it has none."""


@FORMS.register("vector")
class Vector(Form):
    """Steering vector: db = v, ``[d_out]``, on the block's output by default.

    Args:
        config: nothing to set.
        d_in: width of the linear map's input.
        d_out: width of its output.
        generator: unused; the vector starts at zero.
    """

    name = "vector"
    config_class = VectorConfig
    default_site = "residual"
    skip_prefix = True
    constant = True

    def __init__(self, config: VectorConfig, d_in: int, d_out: int, generator: torch.Generator | None = None) -> None:
        super().__init__(config, d_in, d_out, generator)
        self.v = nn.Parameter(torch.zeros(d_out))

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
