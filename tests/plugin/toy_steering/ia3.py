"""(IA)3 (Liu et al. 2022):  h' = (1 + m s) * (W h + b),  that is dW = diag(s) W, db = s * b, s [d_out].

s starts at zero, so training starts at the bare model. dW x is s times what the map itself computes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from easyedit_split.steering.forms.base import Form


@dataclass(frozen=True, slots=True)
class Ia3Config:
    """(IA)3 has no settings."""


class Ia3(Form):
    """One factor per output of the map."""

    name = "ia3"
    config_class = Ia3Config
    default_site = "mlp.up_proj"
    skip_prefix = False
    reads_map = True

    def __init__(self, config: Ia3Config, d_in: int, d_out: int, generator: torch.Generator | None = None) -> None:
        super().__init__(config, d_in, d_out, generator)
        self.s = nn.Parameter(torch.zeros(d_out))

    def weight_product(self, x: Float[Tensor, "b s d_in"]) -> Float[Tensor, "b s d_out"]:
        """s * (W x)."""
        return self.s.to(x.dtype) * self.linear.product(x)

    def weight_delta(self) -> Float[Tensor, "d_out d_in"]:
        """diag(s) W."""
        return self.s.double()[:, None] * self.linear.weight.double()

    def bias_delta(self) -> Float[Tensor, " d_out"] | None:
        """s * b, where the map has a bias."""
        bias = self.linear.bias
        return None if bias is None else self.s.to(bias.dtype) * bias
