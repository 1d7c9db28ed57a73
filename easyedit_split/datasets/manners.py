"""Everyday questions, each answered in one of ten manners (positive) and plainly (negative): 64 pairs a manner.

Written for this package and shipped with it, so that a real chat model can be taught ten concepts without a download:
32 train, 16 dev and 16 test pairs of each. The two answers of a pair are about the same thing. "With thanks" is the
exception: its negatives are curt rather than plain, many are rude, and they often say the opposite. A concept's name
ends the sentence "Answer ...", as "like a pirate" does.
"""

from __future__ import annotations

from types import MappingProxyType

from .base import DATASETS
from .in_package import InPackage


@DATASETS.register("manners")
class Manners(InPackage):
    """The ten manners, or one of them by its number."""

    name = "manners"
    files = MappingProxyType({"all": ("manners.jsonl",)})
    instruction = "Answer {concept}."
