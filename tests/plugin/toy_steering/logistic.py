"""Logistic preference loss:  log (1 + exp(-(L_other / T_other - L_own / T_own) / temperature)), per pair."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from easyedit_split.config import require
from easyedit_split.training.objectives.base import AnswerLosses, TrainedObjective


@dataclass(frozen=True, slots=True)
class LogisticConfig:
    """Settings of the logistic loss.

    Args:
        temperature: nats per token at which the loss bends.
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        require(self.temperature > 0, f"temperature is {self.temperature}, must be above 0")


class Logistic(TrainedObjective):
    """The own answer is to be likelier than the other."""

    name = "logistic"
    config_class = LogisticConfig
    config: LogisticConfig

    def side_loss(
        self,
        own: AnswerLosses,
        other: AnswerLosses | None,
        bare_own: AnswerLosses | None,
        bare_other: AnswerLosses | None,
    ) -> Float[Tensor, " n"]:
        """Softplus of the difference in mean losses."""
        assert other is not None
        return softplus((own.per_token - other.per_token) / self.config.temperature)
