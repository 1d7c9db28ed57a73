"""Datasets that ship with this package: one file each, whose rows name their split and may name their concept.

    {"split": "train", "concept": "grumpily", "prompt": ..., "positive": ..., "negative": ...}

Concepts are numbered from 0 in the file's order, which is what ``concept_id`` asks for.
"""

from __future__ import annotations

from pathlib import Path

from ..types import DataError
from .base import Columns, Dataset, PairTable, Request
from .files import Table
from .named import read_named, refuse
from .pairing import read_pairs
from .splits import limited

SHIPPED = Path(__file__).parent / "shipped"


class InPackage(Dataset):
    """Base class of the datasets of this package; a subclass names itself, its file and its instruction."""

    origin = "this package (Apache-2.0)"
    columns = Columns()

    def load(self, request: Request) -> PairTable:
        """The pairs of one split (train by default) of one concept or of all.

        Args:
            request: what is asked of the dataset.
        """
        refuse(type(self), {"path": request.path, "columns": request.columns})
        split = request.split or "train"
        table = read_named(type(self), SHIPPED / self.files["all"][0])
        concepts = self._asked(table, request.concept_id)
        rows = [n for n, row in enumerate(table.rows) if row["split"] == split and row.get("concept") in concepts]
        items, dropped = read_pairs(table, self.columns, drop_bad=request.drop_bad, only=rows)
        chosen = limited(items, request.limit, name=self.name, seed=request.seed)
        return PairTable.of(self.name, chosen, table, split=split, dropped=dropped)

    def _asked(self, table: Table, concept_id: int | None) -> tuple[str | None, ...]:
        """The concepts that ``concept_id`` asks for: all where it is None; None stands for a file that names none."""
        concepts = tuple(dict.fromkeys(row.get("concept") for row in table.rows))
        if concept_id is None:
            return concepts
        if concepts == (None,):
            refuse(type(self), {"concept_id": concept_id})
        if not 0 <= concept_id < len(concepts):
            known = ", ".join(f"{number} ({concept})" for number, concept in enumerate(concepts))
            raise DataError(f"{self.name}: no concept {concept_id}; it has {known}")
        return (concepts[concept_id],)
