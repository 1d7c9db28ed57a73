"""DiffMean, the difference of mean activations (Marks and Tegmark 2023): a steering vector without training.

    v = mean over pairs of (mean over A_p's tokens of h_l)  -  mean over pairs of (mean over A_n's tokens of h_l)

The answers need not be paired. Vector form only. v is used as it comes, not normalised: m = 1 moves the mean of one
side to the other's.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from .base import OBJECTIVES, FittedObjective


@dataclass(frozen=True, slots=True)
class DiffMeanConfig:
    """Settings of DiffMean: it has none."""


@OBJECTIVES.register("diff_mean")
class DiffMean(FittedObjective):
    """Steering vector from the difference of mean activations."""

    name = "diff_mean"
    config_class = DiffMeanConfig
    forms = ("vector",)

    def fit(self, positive: Float[Tensor, "n d"], negative: Float[Tensor, "k d"]) -> Float[Tensor, " d"]:
        """The difference of the two means, with sums in float64.

        Args:
            positive: mean activation over the tokens of each positive answer.
            negative: mean activation over the tokens of each negative answer.
        """
        return (positive.double().mean(0) - negative.double().mean(0)).to(positive.dtype)
