"""Llama: pre-norm blocks, no norm after the MLP, so ``site`` and ``block_output`` are the same function for the MLP.

Structure says where everything is; registered, it is held by the contracts.
"""

from __future__ import annotations

from ..sites import FAMILIES, Family

FAMILIES.register("llama")(Family(model_types=("llama",)))
