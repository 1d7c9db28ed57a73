"""Everyday questions, each answered cheerfully (positive) and gloomily (negative): 96 train, 16 dev and 32 test pairs.

Written for this package and shipped with it, so that a real chat model can be steered without a download. The two
answers of a pair are about the same thing, in sentences of about the same length; what tells them apart is the mood.
"""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

from .base import DATASETS, Columns, Dataset, PairTable, Request
from .named import read_named, refuse
from .pairing import read_pairs
from .splits import limited

SHIPPED = Path(__file__).parent / "shipped"


@DATASETS.register("everyday")
class Everyday(Dataset):
    """The everyday dataset: one file of this package, whose rows name their split."""

    name = "everyday"
    origin = "this package (Apache-2.0)"
    files = MappingProxyType({"all": ("everyday.jsonl",)})
    columns = Columns()
    instruction = "Answer as cheerfully as you can."

    def load(self, request: Request) -> PairTable:
        """The pairs of one split; train by default.

        Args:
            request: what is asked of the dataset.
        """
        refuse(Everyday, {"path": request.path, "columns": request.columns, "concept_id": request.concept_id})
        split = request.split or "train"
        table = read_named(Everyday, SHIPPED / self.files["all"][0])
        rows = [number for number, row in enumerate(table.rows) if row["split"] == split]
        items, dropped = read_pairs(table, self.columns, drop_bad=request.drop_bad, only=rows)
        chosen = limited(items, request.limit, name=self.name, seed=request.seed)
        return PairTable.of(self.name, chosen, table, split=split, dropped=dropped)


def neutral_prompts(count: int | None = None) -> tuple[str, ...]:
    """Neutral prompts: questions of fact and instructions whose answers steering for mood should leave unchanged.

    Args:
        count: the first so many; all 64 where None.
    """
    return tuple((SHIPPED / "neutral.txt").read_text("utf-8").splitlines())[:count]
