"""What a dataset is: pairs with the rows they come from, under a name that the registry knows.

    name or file -> PairTable(pairs, rows, source, sha256, notes)        rows are counted from 0

A dataset of its own is one file here: where its authors publish it, which columns make a pair, how Appendix A splits
it, and one registration line. Nothing in a file is ever executed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, TypeAlias

from ..config import require
from ..registry import Registry
from ..types import Pair
from .files import Table

Split: TypeAlias = Literal["train", "test", "dev"]
SPLITS: tuple[Split, ...] = ("train", "test", "dev")
DROPPED = "dropped "
"""How the note on a bad row that was left out begins."""


@dataclass(frozen=True, slots=True)
class Numbered:
    """A pair and its row in the file."""

    row: int
    pair: Pair


@dataclass(frozen=True, slots=True)
class PairTable:
    """Pairs, and what is needed to find each of them again.

    Attributes:
        name: the dataset's name, or the file's.
        pairs: in the file's order.
        rows: row number of each pair in its file, from 0.
        source: the file (or testbed split) that messages name.
        sha256: of the file's bytes (of the pairs themselves where there is no file).
        notes: what was left out or done, one sentence each.
    """

    name: str
    pairs: tuple[Pair, ...]
    rows: tuple[int, ...]
    source: str
    sha256: str
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, items: Sequence[Numbered], table: Table, notes: Sequence[str]) -> PairTable:
        """The table of ``items``, chosen from a file."""
        return cls(
            name=name,
            pairs=tuple(item.pair for item in items),
            rows=tuple(item.row for item in items),
            source=str(table.path),
            sha256=table.sha256,
            notes=tuple(notes),
        )

    @property
    def dropped(self) -> tuple[str, ...]:
        """The bad rows that were left out, one sentence each: file, row and field."""
        return tuple(note.removeprefix(DROPPED) for note in self.notes if note.startswith(DROPPED))

    @property
    def other_notes(self) -> tuple[str, ...]:
        """The notes that speak of no bad row."""
        return tuple(note for note in self.notes if not note.startswith(DROPPED))

    def concepts(self) -> tuple[str | None, ...]:
        """The pairs' concepts, in order of first appearance; ``(None,)`` where there are none."""
        return tuple(dict.fromkeys(pair.concept for pair in self.pairs))


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns make a pair; ``concept`` may be absent from a file."""

    prompt: str = "prompt"
    positive: str = "positive"
    negative: str = "negative"
    concept: str = "concept"

    def fields(self) -> tuple[str, str, str]:
        """The three that every row must fill."""
        return self.prompt, self.positive, self.negative

    def fit(self, names: tuple[str, ...]) -> bool:
        """Whether a file with these column names holds pairs of this shape."""
        return set(self.fields()) <= set(names)


@dataclass(frozen=True, slots=True)
class Request:
    """What the caller asks of a dataset; see `load_dataset`."""

    path: Path | None = None
    split: Split | None = None
    seed: int = 0
    columns: Columns | None = None
    concept_id: int | None = None
    drop_bad: bool = False
    limit: int | None = None

    def __post_init__(self) -> None:
        require(self.seed >= 0, f"seed is {self.seed}, must not be negative")
        require(self.limit is None or self.limit >= 1, f"limit is {self.limit}, must be at least 1")


class Dataset(ABC):
    """One source of pairs.

    Class attributes:
        name: the registered name.
        origin: where its authors publish it, and its licence.
        files: names that its files go by, role to names; the first name is the one messages ask for.
        columns: what makes a pair in it.
    """

    name: ClassVar[str]
    origin: ClassVar[str]
    files: ClassVar[Mapping[str, tuple[str, ...]]]
    columns: ClassVar[Columns]

    @abstractmethod
    def load(self, request: Request) -> PairTable:
        """The pairs asked for.

        Raises:
            DataError: a missing file, a bad row, a split that cannot be made.
        """


DATASETS: Registry[type[Dataset]] = Registry("dataset", "easyedit_split.datasets", group="easyedit_split.datasets")
