"""The pairs of ``readings.py``: four concepts of the dataset ``manners``, under the names that its cells have.

Since the readings, the prompt of one training pair ("How do I cook broccoli?", then "How do I boil an egg?") and of one
dev pair ("How are you getting to the coast?", then "What is the best way to travel?") were changed; so was one answer
of a test pair, which no cell uses. The prompts that were read are as they were.
"""

from __future__ import annotations

from dataclasses import replace

from easyedit_split import PairTable, load_dataset

NUMBERS = {"pirate": 0, "grateful": 1, "food": 2, "excited": 3}
"""Name in the kept cells to the number of the concept in ``manners``."""


def pairs_of(concept: str, split: str) -> PairTable:
    """The pairs of one concept and split; they name no concept, as when the kept cells were made."""
    table = load_dataset("manners", split=split, concept_id=NUMBERS[concept])
    return replace(table, name=concept, pairs=tuple(replace(pair, concept=None) for pair in table))
