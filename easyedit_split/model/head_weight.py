"""The weight of a model's output embedding (LM head), prepared once for fp32 logits in half-precision models.

    z = W h + b in fp32 (in the model's dtype where that is wider)

bf16 logits cost about 0.03 nats a token. On a CPU half-precision products are slow and rounded, so one fp32 copy of W
is kept; on a GPU the product itself takes half-precision factors and gives fp32.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary


def unreadable(head: nn.Module) -> str | None:
    """Why a head's logits are not known to be its weight times h, or its weight cannot be read; None where they are.

    Args:
        head: the output embedding.
    """
    weight: Any = getattr(head, "weight", None)
    if type(head) is not nn.Linear:
        return f"it is a {type(head).__name__}"
    if type(weight) not in (Tensor, nn.Parameter) or not weight.is_floating_point():
        return f"its weight is a {type(weight).__name__} of {getattr(weight, 'dtype', 'no dtype')}"
    if weight.is_meta:
        return "its weight is offloaded"
    if "forward" in vars(head) and not hasattr(head, "_hf_hook"):  # accelerate's moves tensors, no more
        return "its forward is another's"
    return None


class HeadWeight:
    """Weight W and bias b of a model's output embedding (LM head).

    Args:
        head: the output embedding, a linear map.
    """

    _copies: ClassVar[Any] = WeakTensorKeyDictionary()  # weight: (what it was copied at, its fp32 copy)

    def __init__(self, head: nn.Module) -> None:
        weight = head.weight
        assert isinstance(weight, Tensor)
        bias = getattr(head, "bias", None)
        self.half = weight.dtype.itemsize < 4
        self.mixed = self.half and weight.device.type != "cpu"
        self.weight = self._copy(weight) if self.half and not self.mixed else weight.detach()
        self.bias: Tensor | None = None if bias is None else bias.detach().to(self.out_dtype)

    @classmethod
    def _copy(cls, weight: Tensor) -> Tensor:
        few = weight.detach().flatten()[:: max(1, weight.numel() // 4096)]
        count = 0 if weight.is_inference() else weight._version  # under inference mode nothing is counted
        version = (count, weight.data_ptr(), float(few.double().sum()))  # an edit through .data is no version
        held = cls._copies.get(weight)
        if held is None or held[0] != version:
            held = (version, weight.detach().float())
            cls._copies[weight] = held
        copy: Tensor = held[1]
        return copy

    @property
    def out_dtype(self) -> torch.dtype:
        """Dtype of the logits."""
        return torch.float32 if self.half else self.weight.dtype

    def logits(self, hidden: Float[Tensor, "u d"]) -> Float[Tensor, "u V"]:
        """Logits W h + b, differentiable in h.

        Args:
            hidden: final hidden states.
        """
        z: Tensor = _MixedProduct.apply(hidden, self) if self.mixed else self._product(hidden, self.weight.T)  # type: ignore[no-untyped-call]
        return z if self.bias is None else z + self.bias

    def back(self, grad: Float[Tensor, "u V"]) -> Float[Tensor, "u d"]:
        """Gradient with respect to h: W' grad.

        Args:
            grad: gradient with respect to the logits.
        """
        return self._product(grad, self.weight)

    def _product(self, a: Tensor, b: Tensor) -> Tensor:
        if not self.mixed:
            return a.to(b.dtype) @ b
        if a.device.type == "cuda":
            return torch.mm(a.to(b.dtype), b, out_dtype=torch.float32)
        return (a.to(b.dtype) @ b).float()  # other devices round; on the meta device only shapes count


class _MixedProduct(torch.autograd.Function):
    """The product W h of half-precision factors in fp32, with its own derivative because torch defines none."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: HeadWeight) -> Tensor:
        ctx.head, ctx.dtype = head, hidden.dtype
        return head._product(hidden, head.weight.T)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return ctx.head.back(grads[0]).to(ctx.dtype), None
