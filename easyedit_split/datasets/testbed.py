"""Answer pairs of the synthetic testbed: ``testbed:reviews``, ``:persona``, ``:power`` and ``:concepts``.

They are made, not read; the package that makes them loads when they are asked for.
"""

from __future__ import annotations

from ..types import DataError, Pair
from .base import Numbered, PairTable, Request, pairs_hash
from .splits import limited

PREFIX = "testbed:"


def load_testbed(name: str, request: Request) -> PairTable:
    """The pairs of one split (train by default) of testbed dataset ``name``, given without its prefix.

    Args:
        name: ``reviews``, ``persona``, ``power`` or ``concepts``.
        request: what is asked of it.

    Raises:
        DataError: unknown name or split, or a setting that only files have.
    """
    from ..testbed import pairs  # the testbed stands above the datasets, so it is not loaded with them

    if request.columns is not None:
        raise DataError(f"{PREFIX}{name} has no columns to name: leave them out")
    split = request.split or "train"
    made = tuple(pairs(name, split))
    numbered = [Numbered(row, pair) for row, pair in enumerate(made)]
    if request.concept_id is not None:
        concept = _concept(name, made, request.concept_id)
        numbered = [item for item in numbered if item.pair.concept == concept]
    chosen = limited(numbered, request.limit, name=name, seed=request.seed)
    return PairTable(
        name=f"{PREFIX}{name}",
        pairs=tuple(item.pair for item in chosen),
        rows=tuple(item.row for item in chosen),
        source=f"{PREFIX}{name}/{split}",
        sha256=pairs_hash(made),
        split=split,
    )


def _concept(name: str, made: tuple[Pair, ...], concept_id: int) -> str:
    concepts = list(dict.fromkeys(pair.concept for pair in made if pair.concept is not None))
    if not 0 <= concept_id < len(concepts):
        have = f"0 to {len(concepts) - 1}: {', '.join(concepts)}" if concepts else "none"
        raise DataError(f"{PREFIX}{name}: no concept {concept_id}; it has {have}")
    return concepts[concept_id]
