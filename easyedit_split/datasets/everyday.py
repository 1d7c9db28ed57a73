"""Everyday questions, each answered cheerfully (positive) and gloomily (negative): 96 train, 16 dev and 32 test pairs.

Written for this package and shipped with it, so that a real chat model can be steered without a download. The two
answers of a pair are about the same thing, in sentences of about the same length; what tells them apart is the mood.
"""

from __future__ import annotations

from types import MappingProxyType

from .base import DATASETS
from .in_package import SHIPPED, InPackage


@DATASETS.register("everyday")
class Everyday(InPackage):
    """The everyday dataset: one concept, the mood."""

    name = "everyday"
    files = MappingProxyType({"all": ("everyday.jsonl",)})
    instruction = "Answer as cheerfully as you can."


def neutral_prompts(count: int | None = None) -> tuple[str, ...]:
    """Neutral prompts: questions of fact and instructions whose answers steering for mood should leave unchanged.

    Args:
        count: the first so many; all 64 where None.
    """
    return tuple((SHIPPED / "neutral.txt").read_text("utf-8").splitlines())[:count]
