"""Read access to the linear map that a form updates: W, b, and the product W x as the model computes it.

    y = W x + b,   x [b s d_in], y [b s d_out], W [d_out, d_in], b [d_out]          at ``residual``: W = I, no b

It is the model's own map: whatever interventions add at it is not seen here, so that they add up and that a hooked and
a merged model agree. Nothing is written, and W is outside every gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..types import ConfigError
from .describe import has_adapter
from .hooks import device_of
from .maps import matrix_of, split_rows
from .sites import RESIDUAL, Site, check_site, find_linear, hidden_size, widths


@dataclass(frozen=True, eq=False)
class LinearMap:
    """The linear map at one site (block and module) of one model, read only.

    Attributes:
        key: the site, as files and messages write it, e.g. ``"20.mlp.down_proj"``.
        d_in: width of its input.
        d_out: width of its output.
        device: where an identity that is asked for as a matrix is made; a module's own tensors stay where they are.
        module: the model's module; None at ``residual``, where the map is the identity.
        rows: those of the module's output that the site names; None for all.
    """

    key: str
    d_in: int
    d_out: int
    device: torch.device
    module: nn.Module | None
    rows: slice | None = None

    @property
    def weight(self) -> Float[Tensor, "d_out d_in"]:
        """W, in the model's dtype.

        Raises:
            ConfigError: the model holds no matrix of floats there: it is quantised, offloaded or has an adapter.
        """
        if self.module is None:
            return torch.eye(self.d_out, device=self.device)
        matrix = matrix_of(self.module)
        if matrix is None or (matrix.is_meta and self.device.type != "meta"):
            kind = f"a {type(getattr(self.module, 'weight', None)).__name__}: load the model unquantised"
            why = kind if matrix is None else "offloaded: load the model on a device that holds it"
            if has_adapter(self.module):
                why = "one with an adapter: merge it into the weights first (merge_and_unload)"
            raise ConfigError(
                f"{self.key}: its weight cannot be read as a matrix of {self.d_out} x {self.d_in} numbers, it is {why}"
            )
        detached: Tensor = matrix.detach() if self.rows is None else matrix.detach()[self.rows]
        return detached

    @property
    def bias(self) -> Float[Tensor, " d_out"] | None:
        """The bias b in the model's dtype; None where the map has none."""
        bias = getattr(self.module, "bias", None)
        if not isinstance(bias, Tensor):
            return None
        return bias.detach() if self.rows is None else bias.detach()[self.rows]

    def product(self, x: Float[Tensor, "b s d_in"]) -> Float[Tensor, "b s d_out"]:
        """W x, computed by the model's own module in its dtype, so that it works for a quantised map too.

        Args:
            x: the map's input; its gradient is kept.
        """
        if self.module is None:
            return x
        weight: Any = self.module.weight
        own = isinstance(weight, Tensor) and weight.is_floating_point()
        y: Tensor = self.module.forward(x.to(weight.dtype) if own else x)  # forward: past every hook
        y = y if self.rows is None else y[..., self.rows]
        return y if self.bias is None else y - self.bias


def linear_map(model: nn.Module, site: Site) -> LinearMap:
    """The linear map at a site of a model, for reading.

    Args:
        model: a Hugging Face causal LM.
        site: a linear map inside a block, or ``residual``.

    Raises:
        ConfigError: the model has no such site.
    """
    device = device_of(model)
    if site.name == RESIDUAL:
        check_site(model, site)
        return LinearMap(site.key, hidden_size(model), hidden_size(model), device, None)
    d_in, d_out = widths(model, site, "site")
    return LinearMap(site.key, d_in, d_out, device, find_linear(model, site), split_rows(site.name)[1])
