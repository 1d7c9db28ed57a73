"""The pairs of a study's dataset, as many of each split as the plan asks for.

    train  to train on    sweep_train  those of them that are swept    dev  to choose m on    test  what tables are of

A limit counts pairs over all concepts; each concept gets an equal share, chosen by a hash of their rows, so that a
smaller limit's pairs are among a larger one's.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace

from ...datasets.base import Numbered, PairTable
from ...datasets.load import default_split_of, load_dataset
from ...datasets.splits import limited
from ...types import DataError
from ..plan import split_file
from .plan import PlannedData, StudyPlan

logger = logging.getLogger(__name__)
FEWEST_TRAINED = 8
"""Training pairs of a concept, at least: fewer teach neither an intervention nor a judge."""


@dataclass(frozen=True, slots=True)
class StudyPairs:
    """Pairs of one dataset, as a study uses them.

    Attributes:
        train: to train on, and for judges to learn from.
        sweep_train: those that are swept.
        dev: that choose m; the test pairs where ``dev_is_test``.
        judged_dev: those whose prompts are answered and judged.
        test: that are swept.
        answered: whose prompts are answered and judged.
        shown: whose prompts are answered at every swept m.
        dev_is_test: the dataset has no dev split.
    """

    train: PairTable
    sweep_train: PairTable
    dev: PairTable
    judged_dev: PairTable
    test: PairTable
    answered: PairTable
    shown: PairTable
    dev_is_test: bool


def study_pairs(data: PlannedData, plan: StudyPlan) -> StudyPairs:
    """Load a dataset and take what a plan asks for.

    Args:
        data: the dataset.
        plan: says how many.

    Raises:
        DataError: no such data, a bad row, or splits of other concepts.
    """
    train, dev, test = _splits(data.name, plan.drop_bad)
    for other in (dev, test):
        strange = [concept for concept in (other or test).concepts() if concept not in train.concepts()]
        if strange:
            raise DataError(f"{test.source}: concept {strange[0]!r} is not among the training pairs'")
    dev, test = (None if dev is None else _apart(dev, train)), _apart(test, train)
    chosen = test if dev is None else dev
    trained = some(train, plan.train_pairs, FEWEST_TRAINED)
    return StudyPairs(
        train=trained,
        sweep_train=some(trained, len(test) if plan.sweep_pairs is None else plan.sweep_pairs),
        dev=some(chosen, plan.dev_pairs),
        judged_dev=some(chosen, plan.judged_prompts),
        test=some(test, plan.sweep_pairs),
        answered=some(test, plan.prompts),
        shown=one_of_each(test, plan.texts),
        dev_is_test=dev is None,
    )


def _apart(table: PairTable, train: PairTable) -> PairTable:
    """A table without the pairs that are training pairs as well, where any m looks better than it is; this is logged.

    Raises:
        DataError: none is left.
    """
    known = set(train.pair_ids)
    kept = [place for place, name in enumerate(table.pair_ids) if name not in known]
    if not kept:
        raise DataError(f"{table.source}: all its {table.split} pairs are training pairs as well: give others")
    if len(kept) < len(table):
        logger.warning(
            "%s: left out %d %s pairs that are training pairs as well",
            table.source,
            len(table) - len(kept),
            table.split,
        )
    return replace(table, pairs=tuple(table.pairs[i] for i in kept), rows=tuple(table.rows[i] for i in kept))


def some(table: PairTable, total: int | None, fewest: int = 1) -> PairTable:
    """At most so many pairs of a table, an equal share of each concept.

    Args:
        table: pairs with their rows.
        total: over all concepts; all where None.
        fewest: of each concept, where it has so many.
    """
    if total is None:
        return table
    each = max(fewest, math.ceil(total / len(table.concepts())))
    items = [Numbered(row, pair) for row, pair in zip(table.rows, table.pairs, strict=True)]
    kept = limited(items, each, name=table.name, seed=0)
    return replace(table, pairs=tuple(item.pair for item in kept), rows=tuple(item.row for item in kept))


def one_of_each(table: PairTable, total: int) -> PairTable:
    """The first pairs of a table, of as many concepts as possible.

    Args:
        table: pairs with their rows.
        total: how many.
    """
    seen: dict[str | None, int] = {}
    order: list[tuple[int, int]] = []
    for place, pair in enumerate(table.pairs):
        seen[pair.concept] = seen.get(pair.concept, -1) + 1
        order.append((seen[pair.concept], place))
    places = sorted(place for _, place in sorted(order)[:total])
    return replace(table, pairs=tuple(table.pairs[i] for i in places), rows=tuple(table.rows[i] for i in places))


def _splits(name: str, drop_bad: bool) -> tuple[PairTable, PairTable | None, PairTable]:
    """Train, dev and test of a dataset; of a file without splits, as ``steer`` makes them, of each concept."""
    if default_split_of(name, "train") is None:
        found = split_file(load_dataset(name, drop_bad=drop_bad))
        return found.training, found.dev, found.test
    try:
        dev = load_dataset(name, split="dev", drop_bad=drop_bad)
    except DataError as error:
        if ", row " in str(error):
            raise
        dev = None
    train, test = (load_dataset(name, split=split, drop_bad=drop_bad) for split in ("train", "test"))
    return train, dev, test
