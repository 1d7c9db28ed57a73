"""SFT: the cross-entropy of the target answer (the positive one under +m, the negative one under -m), nats per token.

    L = L_p / T_p under +m,   with ``directions: both`` also L_n / T_n under -m

It is SPLIT with lambda_n = gamma = 0, and only the own answer is ever scored.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from .base import OBJECTIVES, AnswerLosses, TrainedObjective


@dataclass(frozen=True, slots=True)
class SftConfig:
    """Settings of SFT: it has none."""


@OBJECTIVES.register("sft")
class Sft(TrainedObjective):
    """Supervised fine-tuning: cross-entropy of the target answer."""

    name = "sft"
    config_class = SftConfig
    needs_other = False

    @property
    def pairwise(self) -> bool:
        """True: the loss is a mean over pairs."""
        return True

    def side_loss(
        self,
        own: AnswerLosses,
        other: AnswerLosses | None = None,
        bare_own: AnswerLosses | None = None,
        bare_other: AnswerLosses | None = None,
    ) -> Float[Tensor, " n"]:
        """Cross-entropy per token, L / T, of the target answer of each pair.

        Args:
            own: losses of the answer that this direction makes likely.
            other: unused.
            bare_own: unused.
            bare_other: unused.
        """
        return own.per_token
