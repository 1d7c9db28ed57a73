"""Gemma-2: a norm after attention and after the MLP, soft-capped attention and logits, sliding windows.

The norms bound whatever is added at a site inside the block, so ``site`` and ``block_output`` differ. ``sdpa`` drops
the attention soft-cap or is refused, depending on the version of transformers: ``eager`` (or flex attention) is the
model.
"""

from __future__ import annotations

from ..sites import FAMILIES, Family

FAMILIES.register("gemma2")(Family(model_types=("gemma2",), attention="eager"))
