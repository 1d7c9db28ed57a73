"""Attention masks of packed rows, in the format that the model's own decoder accepts.

    mask[query, key] = 0 where the key stands on the query's path, else a large negative number
    in a sliding window also only where depth(query) - depth(key) < window

The number is finite in the model's dtype *and* in fp32, where many families take their softmax; a query that sees
nothing would be NaN, so padding sees itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from .refusal import EngineRefused

FULL, SLIDING = "full_attention", "sliding_attention"
_OTHER_WINDOWS = ("window_size", "attention_window_size", "local_attention", "attention_chunk_size")
"""Windows that a model's own code applies by columns, which are not depths in a packed row."""
Masks: TypeAlias = Tensor | dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class MaskKind:
    """Which attention masks a model needs: one, or one for each kind of attention, and the width of its sliding window.

    Attributes:
        names: one mask for each of these kinds of attention, handed over as a dictionary; one tensor where empty.
        window: tokens that a sliding layer sees, its own included; None where no layer slides.
    """

    names: tuple[str, ...]
    window: int | None

    @classmethod
    def of(cls, model: nn.Module) -> MaskKind:
        """The kind of a Hugging Face model, from its configuration.

        Args:
            model: a Hugging Face causal LM.

        Raises:
            EngineRefused: attention of a kind whose mask is not known here.
        """
        config: Any = model.config.get_text_config()  # type: ignore[union-attr, operator]
        backend = getattr(model.config, "_attn_implementation", "eager")
        if "flash" in str(backend) or "flex" in str(backend) or "paged" in str(backend):
            raise EngineRefused(f"attention backend {backend} accepts no custom mask")
        names = tuple(dict.fromkeys(getattr(config, "layer_types", None) or ()))
        unknown = [name for name in names if name not in (FULL, SLIDING)]
        if unknown:
            raise EngineRefused(f"the attention mask of layer type {unknown[0]} is not known")
        other = [key for key in _OTHER_WINDOWS if isinstance(getattr(config, key, None), int)]
        if other and not names:
            raise EngineRefused(f"the attention mask of {other[0]} is not known")
        window = getattr(config, "sliding_window", None)
        slides = SLIDING in names if names else window is not None
        return cls(names, int(window) if slides and window is not None else None)

    def masks(
        self, sees: Bool[Tensor, "r n t"], depth: Int[Tensor, "r n"], key_depth: Int[Tensor, "r t"], dtype: torch.dtype
    ) -> Masks:
        """Attention masks as the decoder takes them for ``attention_mask``.

        Args:
            sees: which of the ``t`` keys are on the path of each of the ``n`` tokens of ``r`` rows.
            depth: positions of the tokens.
            key_depth: positions of the keys.
            dtype: of the hidden states.
        """
        near = sees
        if self.window is not None:
            near = sees & (depth[:, :, None] - key_depth[:, None, :] < self.window)
        if not self.names:
            return additive(near, dtype)
        return {name: additive(near if name == SLIDING else sees, dtype) for name in self.names}


def additive(sees: Bool[Tensor, "r n t"], dtype: torch.dtype) -> Float[Tensor, "r 1 n t"]:
    """0 where a key is seen, else the lowest number that neither ``dtype`` nor fp32 takes for minus infinity.

    Args:
        sees: which keys each token sees.
        dtype: of the hidden states.
    """
    lowest = max(torch.finfo(dtype).min, torch.finfo(torch.float32).min)
    zeros = torch.zeros(sees.shape, dtype=dtype, device=sees.device)
    return zeros.masked_fill_(~sees, lowest)[:, None]
