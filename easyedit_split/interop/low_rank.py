"""Truncated singular value decomposition of a full dW into a LoRA of chosen rank, with its error.

    dW = U S V'  ~  (U_r sqrt(S_r)) (sqrt(S_r) V_r')  =  B A         B [d_out, r], A [r, d_in]
    energy kept = sum of the r largest s^2 / sum of all s^2          error of dW = sqrt(1 - energy), Frobenius

No B A of rank r is nearer to dW in that norm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..types import ConfigError

SHARES = (0.9, 0.99, 0.999)


@dataclass(frozen=True, eq=False)
class LowRank:
    """A LoRA in place of a full dW.

    Attributes:
        A: ``[r, d_in]``, float64.
        B: ``[d_out, r]``, float64.
        energy: share of dW's squared Frobenius norm that is kept.
    """

    A: Float[Tensor, "r d_in"]
    B: Float[Tensor, "d_out r"]
    energy: float

    @property
    def error(self) -> float:
        """``|dW - B A| / |dW|``, Frobenius norms."""
        return math.sqrt(max(0.0, 1 - self.energy))


def low_rank(dW: Float[Tensor, "d_out d_in"], rank: int | None, where: str) -> LowRank:
    """The nearest LoRA of a rank.

    Args:
        dW: the full change.
        rank: r; None is an error that says what some ranks would keep.
        where: the site, for messages.

    Raises:
        ConfigError: no rank, or one above the matrix's.
    """
    U, S, Vt = torch.linalg.svd(dW.detach().double().cpu(), full_matrices=False)
    kept = S.square().cumsum(0) / S.square().sum().clamp(min=torch.finfo(torch.float64).tiny)
    if rank is None:
        needed = ", ".join(f"{int((kept < share).sum()) + 1} for {share:.1%}" for share in SHARES)
        raise ConfigError(
            f"{where}: this change is a full matrix, and a LoRA has a rank: choose one with --rank; its energy needs "
            f"{needed}"
        )
    if rank > len(S):
        raise ConfigError(f"{where}: rank {rank} exceeds the matrix's {len(S)}: choose a smaller --rank")
    root = S[:rank].sqrt()
    return LowRank(root[:, None] * Vt[:rank], U[:, :rank] * root, float(kept[rank - 1].clamp(max=1.0)))
