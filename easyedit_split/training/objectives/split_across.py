"""SPLIT across m: SPLIT (Eq. 18-20) at strengths within reach, plus a penalty on utility lost against the bare model.

    L = lambda_p L_p + lambda_n L_n + gamma relu(theta - (L_n - L_p)) + kappa V
    V = relu(log P_0 - log P_m) / T_p            P = e^-L_p + e^-L_n of summed losses; P_0 of the bare model
    m = a steering factor times min(1, reach / r)                 r = |m dh| / |h| at the largest factor

The logit of P is utility (Eq. 8), so V is what a pair's utility has lost, and 0 wherever both answers are at least as
likely as under the bare model. Preference costs nothing in it: one answer may become unlikely while the other makes up
for it. As the change grows in training, factors shrink (``training.reach``), so that no step is spent where every text
is broken. With kappa = 0 and no reach this is SPLIT. At m = 0 V is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ...config import require
from .base import OBJECTIVES, AnswerLosses
from .split import Split, SplitConfig


@dataclass(frozen=True, slots=True)
class SplitAcrossConfig(SplitConfig):
    """Settings of SPLIT across m: those of SPLIT without ``compat``, and two more.

    Attributes:
        kappa: weight of the utility that a pair has lost, which is in the unit of the losses.
        reach: largest r = |m dh| / |h| to train at; None for ``steering_factors`` as they stand.
    """

    kappa: float = 5.0
    reach: float | None = 1.0

    def __post_init__(self) -> None:
        SplitConfig.__post_init__(self)
        require(self.compat is None, "compat is for split: utility is a pair's, with both answers at one m")
        require(self.kappa >= 0, f"kappa is {self.kappa}, must not be negative")
        require(self.reach is None or self.reach > 0, f"reach is {self.reach}, must be positive, or null for none")


@OBJECTIVES.register("split_across")
class SplitAcross(Split):
    """SPLIT with a penalty on lost utility, trained no further out than a strength r."""

    name = "split_across"
    config_class = SplitAcrossConfig
    needs_bare = True
    recipe = "split"
    config: SplitAcrossConfig

    @property
    def reach(self) -> float | None:
        """Largest r to train at, as configured."""
        return self.config.reach

    def side_loss(
        self,
        own: AnswerLosses,
        other: AnswerLosses | None,
        bare_own: AnswerLosses | None = None,
        bare_other: AnswerLosses | None = None,
    ) -> Float[Tensor, " n"]:
        """Loss of SPLIT and kappa V of each pair.

        Args:
            own: losses of the answer that this direction makes likely.
            other: losses of the other answer.
            bare_own: losses of the own answer under the bare model.
            bare_other: losses of the other answer under the bare model.
        """
        assert other is not None
        assert bare_own is not None
        assert bare_other is not None
        lost = (_log_probability(bare_own, bare_other) - _log_probability(own, other)).relu()
        scale = own.T if self.config.length_normalize else 1
        return super().side_loss(own, other) + self.config.kappa * lost / scale


def _log_probability(own: AnswerLosses, other: AnswerLosses) -> Float[Tensor, " n"]:
    """log P of each pair, the probability that one of its two answers is given, nats."""
    return torch.logaddexp(-own.L, -other.L)
