"""SPLIT, Steering with Preference-Utility Intervention (Eq. 18-20), per pair and with the same m for both answers:

    L_util = lambda_p L_p + lambda_n L_n                         Eq. 18
    L_pref = gamma relu(theta - (L_n - L_p))                     Eq. 19
    L      = L_util + L_pref                                     Eq. 20

L_p and L_n are nats per answer token unless ``length_normalize`` is off. The hinge is flat once a pair's preference
exceeds theta; what remains keeps both answers likely. Under -m (``directions: both``) the answers swap roles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from ...config import require
from .base import OBJECTIVES, AnswerLosses, TrainedObjective


@dataclass(frozen=True, slots=True)
class SplitConfig:
    """Settings of SPLIT: loss weights and margin.

    Attributes:
        lambda_p: weight of the positive answer's cross-entropy (Eq. 18).
        lambda_n: weight of the negative answer's cross-entropy (Eq. 18).
        gamma: weight of the hinge (Eq. 19).
        theta: margin, in the unit of the losses (nats per token with ``length_normalize``).
        length_normalize: losses per answer token; off, summed over the answer.
        compat: ``easyedit2`` takes both losses over the whole batch before the hinge and draws m apart for the two
            answers, as EasyEdit2's trainer does.
    """

    lambda_p: float = 1.0
    lambda_n: float = 0.5
    gamma: float = 5.0
    theta: float = 0.5
    length_normalize: bool = True
    compat: Literal["easyedit2"] | None = None

    def __post_init__(self) -> None:
        for name in ("lambda_p", "lambda_n", "gamma"):
            require(getattr(self, name) >= 0, f"{name} is {getattr(self, name)}, must not be negative")
        require(
            self.lambda_p + self.lambda_n + self.gamma > 0, "lambda_p, lambda_n and gamma are all 0: nothing to train"
        )


@OBJECTIVES.register("split")
class Split(TrainedObjective):
    """A hinge loss on the preference log-odds, plus the cross-entropies of both answers for utility."""

    name = "split"
    config_class = SplitConfig
    config: SplitConfig

    @property
    def same_m(self) -> bool:
        """Whether both answers share one m: as in the paper, except under ``compat: easyedit2``, which draws two."""
        return self.config.compat is None

    @property
    def pairwise(self) -> bool:
        """Whether the loss is a mean over pairs: as in the paper, except under ``compat: easyedit2``."""
        return self.config.compat is None

    def side_loss(
        self,
        own: AnswerLosses,
        other: AnswerLosses | None,
        bare_own: AnswerLosses | None = None,
        bare_other: AnswerLosses | None = None,
    ) -> Float[Tensor, " n"]:
        """Loss of Eq. 20 of each pair; the unsteered model's losses are not used.

        Args:
            own: losses of the answer that this direction makes likely.
            other: losses of the other answer.
            bare_own: unused.
            bare_other: unused.
        """
        assert other is not None
        c = self.config
        L_own, L_other = self._loss(own), self._loss(other)
        hinge = (c.theta - (L_other - L_own)).relu()
        return c.lambda_p * L_own + c.lambda_n * L_other + c.gamma * hinge

    def _loss(self, answers: AnswerLosses) -> Float[Tensor, " n"]:
        if self.config.compat == "easyedit2":
            whole = answers.L.sum() / answers.T.sum() if self.config.length_normalize else answers.L.mean()
            return whole.expand(len(answers.L))
        return answers.per_token if self.config.length_normalize else answers.L
