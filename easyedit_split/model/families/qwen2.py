"""Qwen2 and Qwen2.5: pre-norm blocks, biases on q, k and v only; structure says where everything is."""

from __future__ import annotations

from ..sites import FAMILIES, Family

FAMILIES.register("qwen2")(Family(model_types=("qwen2",)))
