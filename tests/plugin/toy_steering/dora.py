"""DoRA (Liu et al. 2024):  h' = (W + m dW) h + b,  W + dW = (1 + g) * |W| / |W + B A| * (W + B A), norms over rows.

dW = k (W + B A) - W = (k - 1) W + k B A,  k = (1 + g) |W| / |W + B A|  [d_out]. As in the paper, |W + B A| counts as a
constant in the gradient. With B = 0 and g = 0 at the start k is exactly 1, so training starts at the bare model.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from easyedit_split.steering.forms.base import Form


@dataclass(frozen=True, slots=True)
class DoraConfig:
    """Settings of DoRA.

    Args:
        rank: of B A.
    """

    rank: int = 2


class Dora(Form):
    """A direction of low rank and a magnitude per output."""

    name = "dora"
    config_class = DoraConfig
    default_site = "mlp.down_proj"
    skip_prefix = False
    reads_map = True

    def __init__(self, config: DoraConfig, d_in: int, d_out: int, generator: torch.Generator | None = None) -> None:
        super().__init__(config, d_in, d_out, generator)
        bound = d_in**-0.5
        self.A = nn.Parameter(torch.empty(config.rank, d_in).uniform_(-bound, bound, generator=generator))
        self.B = nn.Parameter(torch.zeros(d_out, config.rank))
        self.g = nn.Parameter(torch.zeros(d_out))

    def weight_product(self, x: Float[Tensor, "b s d_in"]) -> Float[Tensor, "b s d_out"]:
        """(k - 1) W x + k B A x."""
        k = self._magnitude(x.dtype)
        return (k - 1) * self.linear.product(x) + k * linear(linear(x, self.A.to(x.dtype)), self.B.to(x.dtype))

    def weight_delta(self) -> Float[Tensor, "d_out d_in"]:
        """(k - 1) W + k B A."""
        k = self._magnitude(torch.float64)[:, None]
        return (k - 1) * self.linear.weight.double() + k * (self.B.double() @ self.A.double())

    def bias_delta(self) -> None:
        """DoRA leaves b alone."""

    def _magnitude(self, dtype: torch.dtype) -> Float[Tensor, " d_out"]:
        weight = self.linear.weight.to(dtype)
        steered = (weight + self.B.to(dtype) @ self.A.to(dtype)).norm(dim=1).detach()
        return (1 + self.g.to(dtype)) * (weight.norm(dim=1) / steered)
