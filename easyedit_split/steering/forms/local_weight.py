"""Local weight update (Table 1, row 1):  h' = (W + m dW) h + (b + m db),  dW [d_out, d_in], db [d_out].

Both start at zero, so training starts at the bare model.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from .base import FORMS, Form


@dataclass(frozen=True, slots=True)
class LocalWeightConfig:
    """Settings of a local weight update.

    Attributes:
        bias: also learn db. Without it the update can be merged into architectures whose maps have no bias.
    """

    bias: bool = True


@FORMS.register("local_weight")
class LocalWeight(Form):
    """Local weight update: a full matrix dW (and db), on the MLP's down-projection by default.

    Args:
        config: whether db is learnt too.
        d_in: width of the linear map's input.
        d_out: width of its output.
        generator: unused; the update starts at zero.
    """

    name = "local_weight"
    config_class = LocalWeightConfig
    default_site = "mlp.down_proj"
    skip_prefix = False

    def __init__(
        self, config: LocalWeightConfig, d_in: int, d_out: int, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(config, d_in, d_out, generator)
        self.weight = nn.Parameter(torch.zeros(d_out, d_in))
        self.bias = nn.Parameter(torch.zeros(d_out)) if config.bias else None

    def weight_product(self, x: Float[Tensor, "b s d_in"]) -> Float[Tensor, "b s d_out"]:
        """The product dW x.

        Args:
            x: input of the linear map.
        """
        return linear(x, self.weight.to(x.dtype))

    def weight_delta(self) -> Float[Tensor, "d_out d_in"]:
        """The weight update dW in float64."""
        return self.weight.double()

    def bias_delta(self) -> Float[Tensor, " d_out"] | None:
        """The bias update db; None where the configuration leaves it out."""
        return self.bias
