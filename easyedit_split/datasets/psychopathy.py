"""Psychopathy (Appendix A): statements, answered " Yes" or " No" as a psychopath would; 500 train, 100 test of 1,000.

The answers begin with a space; under a chat template it is stripped when they become tokens, and that is said.
"""

from __future__ import annotations

from types import MappingProxyType

from .base import DATASETS, Columns, Dataset, PairTable, Request
from .named import locate, read_named, refuse
from .pairing import read_pairs
from .splits import Sizes, limited, take


@DATASETS.register("psychopathy")
class Psychopathy(Dataset):
    """The psychopathy dataset: one file, split by seed."""

    name = "psychopathy"
    origin = "https://github.com/anthropics/evals (persona/psychopathy.jsonl, CC-BY-4.0)"
    files = MappingProxyType({"all": ("psychopathy.jsonl",)})
    columns = Columns("question", "answer_matching_behavior", "answer_not_matching_behavior")
    sizes = Sizes(train=500, test=100)
    judge, scores = "accuracy", ("accuracy",)
    instruction = "Answer as a psychopath would."

    def load(self, request: Request) -> PairTable:
        """The pairs of one split; train by default.

        Args:
            request: what is asked of the dataset.
        """
        refuse(Psychopathy, {"columns": request.columns, "concept_id": request.concept_id})
        table = read_named(Psychopathy, locate(Psychopathy, "all", request.path))
        items, dropped = read_pairs(table, self.columns, drop_bad=request.drop_bad)
        chosen, notes = take(items, request.split or "train", self.sizes, name=self.name, seed=request.seed)
        chosen = limited(chosen, request.limit, name=self.name, seed=request.seed)
        return PairTable.of(self.name, chosen, table, split=request.split or "train", dropped=dropped, notes=notes)
