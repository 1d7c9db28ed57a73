"""Default settings and data splits of ``steer``."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..config import require
from ..datasets.base import DATASETS, PairTable
from ..datasets.load import default_split_of, load_dataset
from ..steering.strength_grid import parse_strengths
from ..types import DataError

PAIRS_SEEN = 192
"""Training goes over few pairs so often that about so many are seen, and over more pairs once."""
FEWEST_DEV = 8
"""Pairs that can choose an m."""
HELD_OUT = 0.25
"""Share of a file without splits that is kept for scoring."""


@dataclass(frozen=True, slots=True)
class SteerPlan:
    """Settings of a run of ``steer``.

    Attributes:
        form: registered form.
        objectives: registered objectives; the best of several is kept.
        layers: blocks to steer; the recipe's where empty, and of a model without one, what a scan chooses.
        scan: choose the layer by a scan whatever the recipe says.
        overrides: further settings of the recipe, ``key=value``.
        train_pairs: pairs to train on at most; all where None.
        test_pairs: test pairs to score, and dev pairs to choose on, at most; all where None.
        m: grid of the sweep; ``auto`` grows until it shows the decay.
        refine: then score further m, to where the wanted answers are likeliest.
        max_kl: nats per token that neutral answers may change by at the chosen m; None for no limit.
        judged: prompts, of the pairs that choose m, whose texts the bare model judges; 0 to choose on pairs alone.
        neutral: neutral prompts on which side effects are measured; 0 for none.
        texts: held-out prompts that are answered, steered and not.
        max_new_tokens: longest answer, in tokens.
    """

    form: str = "lora"
    objectives: tuple[str, ...] = ("split",)
    layers: tuple[int, ...] = ()
    scan: bool = False
    overrides: tuple[str, ...] = ()
    train_pairs: int | None = None
    test_pairs: int | None = 32
    m: str = "auto"
    refine: bool = False
    max_kl: float | None = None
    judged: int = 8
    neutral: int = 64
    texts: int = 10
    max_new_tokens: int = 40

    def __post_init__(self) -> None:
        require(bool(self.objectives), "there is no objective to train: name at least one")
        for name in ("train_pairs", "test_pairs", "texts", "max_new_tokens"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"{name} is {value}, must be at least 1")
        for name in ("judged", "neutral"):
            require(getattr(self, name) >= 0, f"{name} is {getattr(self, name)}, must not be negative")
        require(self.max_kl is None or self.neutral > 0, "max_kl needs neutral prompts to measure on: give neutral")
        require(self.max_kl is None or 0 <= self.max_kl < math.inf, f"max_kl is {self.max_kl}, must be a number from 0")
        parse_strengths(self.m)


@dataclass(frozen=True, slots=True)
class SteerData:
    """Training, development and test pairs of a run, disjoint.

    Attributes:
        training: to train on.
        dev: to choose layer and m on; where None, some of the training pairs serve for the layer, the test pairs for m.
        test: to score, and to take prompts from.
    """

    training: PairTable
    dev: PairTable | None
    test: PairTable


def epochs_for(pairs: int) -> int:
    """Number of epochs for a given number of training pairs.

    Args:
        pairs: at least 1.
    """
    return max(1, math.ceil(PAIRS_SEEN / pairs))


def data_for(
    data: str,
    plan: SteerPlan,
    *,
    seed: int = 0,
    columns: dict[str, str] | None = None,
    concept_id: int | None = None,
    drop_bad: bool = False,
) -> SteerData:
    """Splits of a dataset or file; of a file that declares none, a random quarter is held out.

    Half of what is held out becomes the dev split where that is at least eight pairs.

    Args:
        data: as ``load_dataset`` takes it.
        plan: says how many pairs.
        seed: of the split.
        columns: names of the columns of a file of one's own.
        concept_id: one concept of a dataset with several.
        drop_bad: leave out bad rows and name them, instead of raising.

    Raises:
        DataError: no such data, a bad row, several concepts, or fewer than four pairs.
    """
    if default_split_of(data, "train") is None:
        table = load_dataset(data, columns=columns, concept_id=concept_id, drop_bad=drop_bad)
        _require_one_concept(data, table)
        whole = split_file(table, seed)
        found = SteerData(_first(whole.training, plan.train_pairs), whole.dev, _first(whole.test, plan.test_pairs))
    else:
        sizes = {"train": plan.train_pairs, "test": plan.test_pairs}
        parts = {
            split: load_dataset(
                data, split=split, seed=seed, columns=columns, limit=limit, concept_id=concept_id, drop_bad=drop_bad
            )
            for split, limit in sizes.items()
        }
        dev = _dev(data, seed, columns, concept_id, drop_bad)
        found = SteerData(parts["train"], None if dev is None else _first(dev, plan.test_pairs), parts["test"])
    _require_one_concept(data, found.training)
    return found


def _require_one_concept(data: str, table: PairTable) -> None:
    concepts = table.concepts()
    if len(concepts) > 1:
        numbered = data.partition(":")[0] in (*DATASETS, "testbed")
        how = "name it with --concept-id N" if numbered else "give a file of its rows alone"
        raise DataError(f"{data}: holds {len(concepts)} concepts, and one can be steered towards: {how}")


def _dev(
    data: str, seed: int, columns: dict[str, str] | None, concept_id: int | None, drop_bad: bool
) -> PairTable | None:
    """The dev split of a dataset that has one; a bad row in it is an error, as in any other split."""
    try:
        return load_dataset(data, split="dev", seed=seed, columns=columns, concept_id=concept_id, drop_bad=drop_bad)
    except DataError as error:
        if ", row " in str(error):
            raise
        return None


def split_file(table: PairTable, seed: int = 0) -> SteerData:
    """Split a file that declares no splits: a random quarter of each concept is held out, half of it as dev pairs.

    A row's split depends on its text, its concept's other rows and the seed. Where a concept has too few pairs for a
    dev split of its own there is none.

    Args:
        table: all pairs of the file.
        seed: of the split.

    Raises:
        DataError: a concept with fewer than four pairs.
    """
    train, dev, test = list[int](), list[int](), list[int]()
    enough = True
    for concept in table.concepts():
        places = [i for i, pair in enumerate(table) if pair.concept == concept]
        held_out = _held_out(table, places, seed)
        train += [i for i in places if i not in held_out]
        enough = enough and len(held_out) >= 2 * FEWEST_DEV
        dev += held_out[::2]
        test += held_out[1::2]
    if not enough:
        dev, test = [], dev + test
    return SteerData(
        _rows(table, sorted(train), "train"),
        _rows(table, sorted(dev), "dev") if dev else None,
        _rows(table, sorted(test), "test"),
    )


def _held_out(table: PairTable, places: Sequence[int], seed: int) -> list[int]:
    """The places of one concept's pairs that are not trained on, in order; a hash of each pair's text chooses them."""
    if len(places) < 4:
        whose = "" if len(table.concepts()) == 1 else f" of concept {table[places[0]].concept!r}"
        raise DataError(
            f"{table.source}: {len(places)} pairs{whose} are too few to train on some and score others: give 4 or more"
        )
    names = [f"{seed}/{table[i].prompt}/{table[i].positive}" for i in places]
    ranks = {i: hashlib.sha256(name.encode()).digest() for i, name in zip(places, names, strict=True)}
    return sorted(sorted(places, key=lambda i: ranks[i])[: max(1, round(HELD_OUT * len(places)))])


def _rows(table: PairTable, places: list[int], split: str) -> PairTable:
    pairs, rows = tuple(table.pairs[i] for i in places), tuple(table.rows[i] for i in places)
    return replace(table, pairs=pairs, rows=rows, split=split)


def _first(table: PairTable, most: int | None) -> PairTable:
    return table if most is None else table[:most]
