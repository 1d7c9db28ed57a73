"""Logits that are not finite, found where they arise: an update that is more than the model's dtype holds.

Without it a token of NaN logits is the first of the vocabulary or the end of the answer, and a text that looks empty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from ..types import ConfigError

Strengths: TypeAlias = float | tuple[float, ...]
"""A row's strength m, or one of each of several interventions."""


def is_steered(m: Strengths) -> bool:
    """Whether a strength changes anything: it is not 0, or not 0 for each intervention.

    Args:
        m: one, or one of each intervention.
    """
    return any(m) if isinstance(m, tuple) else m != 0


def strength_text(m: Strengths) -> str:
    """A strength as text.

    Args:
        m: one, or one of each intervention.
    """
    return " and ".join(f"{value:g}" for value in m) if isinstance(m, tuple) else f"{m:g}"


class FiniteLogits:
    """Raises for rows whose logits are not finite, with their m; for beam search also as a logits processor.

    Args:
        model: whose logits they are.
        strengths: m of each row of the batch.
    """

    def __init__(self, model: nn.Module, strengths: Sequence[Strengths]) -> None:
        self.dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
        self.strengths = strengths

    def require(self, logits: Tensor, rows: Callable[[], Sequence[int]]) -> None:
        """Raise where a row's logits hold a NaN or an infinite largest value.

        Args:
            logits: ``[k v]`` of some rows; single tokens may be minus infinity.
            rows: gives their numbers in the batch.

        Raises:
            ConfigError: the first such row's m.
        """
        bad = ~torch.isfinite(logits.amax(-1))  # a NaN is the largest of all
        if not bool(bad.any()):
            return
        m = self.strengths[rows()[int(bad.nonzero()[0])]]
        if not is_steered(m):
            raise ConfigError(
                f"the unsteered model's own logits are not finite in {self.dtype}: load it in a wider dtype, e.g. "
                "--dtype bfloat16 or float32"
            )
        raise ConfigError(
            f"at m = {strength_text(m)} the logits are not finite: the steered values are more than {self.dtype} "
            "holds: take a smaller |m|, or a wider dtype, e.g. --dtype bfloat16 or float32"
        )

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Any:
        """Scores of a step of beam search, as they are.

        Args:
            input_ids: unused.
            scores: ``[b v]``, the beams of a row together.

        Raises:
            ConfigError: as ``require``.
        """
        copies = max(1, len(scores) // len(self.strengths))  # beams of a row
        self.require(scores, lambda: [row // copies for row in range(len(scores))])
        return scores
