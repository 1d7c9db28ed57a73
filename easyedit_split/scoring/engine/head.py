"""Negative log-likelihood of answer tokens from final hidden states, with logits computed in chunks at those alone.

    loss_e = logsumexp(z_u) - z_u[target_e],   z_u = cap(W h_u + b),   u the position that predicts token e
    d loss_e / d h_u = W' (softmax(z_u) * s_u) - s_u[target_e] W[target_e],   s = 1 - (z / c)^2 under a cap c, else 1

One matrix product forwards and one backwards: the second is done at once, chunk by chunk, while the logits are at
hand, so no row of V logits outlives its chunk. Logits are fp32 for half-precision models and never below the model's
dtype; losses are float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from ...model.head_weight import HeadWeight

CHUNK_BYTES = 1 << 28
"""Logits held at once on an accelerator, whose matrix products want many rows."""
CHUNK_BYTES_CPU = 1 << 24
"""Logits held at once on a CPU."""
FEWEST_ROWS = 64
"""Rows of a chunk at least: fewer would read the weight too often."""


@dataclass(frozen=True, slots=True)
class Targets:
    """Answer tokens that one forward pass predicts.

    Attributes:
        at: ``[e]`` which of the ``u`` predicting positions predicts each, ascending.
        token: ``[e]`` its id.
        bounds: for each position the first of its answer tokens, and their number at the end: ``u + 1`` plain ints.
    """

    at: Int[Tensor, " e"]
    token: Int[Tensor, " e"]
    bounds: tuple[int, ...]


class _TokenLosses(torch.autograd.Function):
    """Autograd function for losses of answer tokens from final hidden states; the gradient is computed in the forward
    pass.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: HeadWeight, cap: float | None, targets: Targets) -> Tensor:
        wanted = ctx.needs_input_grad[0]
        most = CHUNK_BYTES_CPU if hidden.device.type == "cpu" else CHUNK_BYTES
        size = max(FEWEST_ROWS, most // (weight.weight.shape[0] * weight.out_dtype.itemsize))
        losses, mean_rows, slopes = [], [], []
        for first in range(0, len(hidden), size):
            z = _capped(weight.logits(hidden[first : first + size]), cap)
            e = slice(targets.bounds[first], targets.bounds[min(first + size, len(hidden))])
            at, token = targets.at[e] - first, targets.token[e]
            log_sum, picked = z.logsumexp(-1), z[at, token]
            losses.append((log_sum[at] - picked).double())
            if wanted:
                slopes.append(torch.ones_like(picked) if cap is None else 1 - (picked / cap).square())
                mean_rows.append(weight.back(_softmax_slope(z, log_sum, cap)))
        if wanted:
            ctx.save_for_backward(torch.cat(mean_rows), torch.cat(slopes), targets.at, targets.token)
            ctx.weight, ctx.dtype = weight.weight, hidden.dtype
        return torch.cat(losses)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        mean_rows, slopes, at, token = ctx.saved_tensors
        grad = grads[0].to(mean_rows.dtype)
        whole = torch.zeros(len(mean_rows), dtype=grad.dtype, device=grad.device).index_add_(0, at, grad)
        hidden = whole[:, None] * mean_rows
        hidden.index_add_(0, at, -(grad * slopes)[:, None] * ctx.weight[token].to(grad.dtype))
        return hidden.to(ctx.dtype), None, None, None


def _capped(z: Tensor, cap: float | None) -> Tensor:
    return z if cap is None else z.div_(cap).tanh_().mul_(cap)


def _softmax_slope(z: Tensor, log_sum: Tensor, cap: float | None) -> Tensor:
    """Derivative softmax(z) * s of the log-partition term, computed in z's memory where no soft-cap needs z again."""
    if cap is None:
        return z.sub_(log_sum[:, None]).exp_()
    slope = z.div(cap).square_().neg_().add_(1)
    return slope.mul_(z.sub_(log_sum[:, None]).exp_())


def token_losses(
    hidden: Float[Tensor, "u d"], weight: HeadWeight, cap: float | None, targets: Targets
) -> Float64[Tensor, " e"]:
    """Negative log-likelihood -log P of each answer token, nats.

    Args:
        hidden: final hidden states of the positions that predict an answer token, norm applied.
        weight: the head's.
        cap: soft-cap of the logits, if the model has one.
        targets: which position predicts which token.
    """
    losses: Tensor = _TokenLosses.apply(hidden, weight, cap, targets)  # type: ignore[no-untyped-call]
    return losses


def losses_of_logits(logits: Float[Tensor, "u V"], targets: Targets) -> Float64[Tensor, " e"]:
    """Negative log-likelihood of each answer token from logits that the model's own head computed.

    Args:
        logits: of the predicting positions.
        targets: which position predicts which token.
    """
    logp = logits.double().log_softmax(-1)
    return -logp[targets.at, targets.token]
