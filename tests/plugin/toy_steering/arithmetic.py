"""Sums with a right and a wrong result: one file, half of its rows train, a quarter test and a quarter dev, by seed."""

from __future__ import annotations

from types import MappingProxyType

from easyedit_split.datasets.base import Columns, Dataset, PairTable, Request
from easyedit_split.datasets.named import locate, read_named, refuse
from easyedit_split.datasets.pairing import read_pairs
from easyedit_split.datasets.splits import Sizes, limited, take


class Arithmetic(Dataset):
    """One file, split by seed."""

    name = "arithmetic"
    origin = "this test package (Apache-2.0)"
    files = MappingProxyType({"all": ("arithmetic.jsonl",)})
    columns = Columns("sum", "right", "wrong")

    def load(self, request: Request) -> PairTable:
        """The pairs of one split; train by default."""
        refuse(Arithmetic, {"columns": request.columns, "concept_id": request.concept_id})
        table = read_named(Arithmetic, locate(Arithmetic, "all", request.path))
        items, dropped = read_pairs(table, self.columns, drop_bad=request.drop_bad)
        sizes, split = Sizes(train=len(items) // 2, test=len(items) // 4), request.split or "train"
        chosen, notes = take(items, split, sizes, name=self.name, seed=request.seed)
        chosen = limited(chosen, request.limit, name=self.name, seed=request.seed)
        return PairTable.of(self.name, chosen, table, split=split, dropped=dropped, notes=notes)
