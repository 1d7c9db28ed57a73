"""LoRA (Table 1, row 2):  h' = (W + m s B A) h + b,  dW = s B A with A [r, d_in] and B [d_out, r].

s = alpha / r with alpha = r unless ``apply_alpha`` is set, so s = 1: EasyEdit2 shows an alpha and never uses it.
B starts at zero and A at random, uniform within 1 / sqrt(d_in) as in PEFT, so training starts at the bare model;
``start: rank`` draws A within 1 / sqrt(r), as EasyEdit2 does: sqrt(d_in / r) times as far.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from ...config import require
from ...types import ConfigError
from .base import FORMS, Form


@dataclass(frozen=True, slots=True)
class LoraConfig:
    """Settings of a LoRA update.

    Attributes:
        rank: r.
        alpha: numerator of the scale alpha / r; used only with ``apply_alpha``.
        apply_alpha: multiply by alpha / r instead of 1.
        start: bound of A's first values, 1 / sqrt(d_in) (``input``) or 1 / sqrt(r) (``rank``).
    """

    rank: int = 4
    alpha: float | None = None
    apply_alpha: bool = False
    start: Literal["input", "rank"] = "input"

    def __post_init__(self) -> None:
        require(self.rank >= 1, f"rank is {self.rank}, must be at least 1")
        require(
            not self.apply_alpha or self.alpha is not None,
            "apply_alpha is set but alpha is not: name the alpha to apply",
        )

    @property
    def scale(self) -> float:
        """The scale s of the update s B A."""
        return self.alpha / self.rank if self.apply_alpha and self.alpha is not None else 1.0


@FORMS.register("lora")
class Lora(Form):
    """Low-rank update dW = s B A, on the MLP's down-projection by default.

    Args:
        config: rank and scale.
        d_in: width of the linear map's input.
        d_out: width of its output.
        generator: draws A; B starts at zero.
    """

    name = "lora"
    config_class = LoraConfig
    default_site = "mlp.down_proj"
    skip_prefix = False
    config: LoraConfig

    def __init__(self, config: LoraConfig, d_in: int, d_out: int, generator: torch.Generator | None = None) -> None:
        super().__init__(config, d_in, d_out, generator)
        if config.rank > min(d_in, d_out):
            raise ConfigError(
                f"rank {config.rank} exceeds min(d_in, d_out) = {min(d_in, d_out)} of the map: choose a smaller rank"
            )
        bound = 1 / math.sqrt(config.rank if config.start == "rank" else d_in)
        self.lora_A = nn.Parameter(torch.empty(config.rank, d_in).uniform_(-bound, bound, generator=generator))
        self.lora_B = nn.Parameter(torch.zeros(d_out, config.rank))

    def weight_product(self, x: Float[Tensor, "b s d_in"]) -> Float[Tensor, "b s d_out"]:
        """The product dW x = s B (A x).

        Args:
            x: input of the linear map.
        """
        return self.config.scale * linear(linear(x, self.lora_A.to(x.dtype)), self.lora_B.to(x.dtype))

    def weight_delta(self) -> Float[Tensor, "d_out d_in"]:
        """The weight update dW = s B A in float64."""
        return self.config.scale * (self.lora_B.double() @ self.lora_A.double())

    def bias_delta(self) -> None:
        """None: LoRA does not update the bias b."""
