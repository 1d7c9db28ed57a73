"""The base class of datasets, and tables of answer pairs that record the file and row of each pair.

    name or file -> PairTable(pairs, rows, source, sha256, split, dropped, notes)        rows are counted from 0

A dataset of its own is one file here: where its authors publish it, which columns make a pair, how Appendix A splits
it, and one registration line. Nothing in a file is ever executed.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias, overload

from ..config import require
from ..registry import Registry
from ..text.conversation import plain
from ..types import Pair
from .files import Table

Split: TypeAlias = Literal["train", "test", "dev"]
SPLITS: tuple[Split, ...] = ("train", "test", "dev")


@dataclass(frozen=True, slots=True)
class Numbered:
    """A pair and the number of its row in the file.

    Attributes:
        row: its row number in the file.
        pair: the texts.
    """

    row: int
    pair: Pair


@dataclass(frozen=True, slots=True)
class PairTable(Sequence[Pair]):
    """A sequence of answer pairs, with the dataset, file and row that each comes from.

    Attributes:
        name: the dataset's name, or the file's.
        pairs: in the file's order; of several concepts one after another.
        rows: row number of each pair in its file, from 0.
        source: the file (or testbed split, or kind of table in memory) that messages name.
        sha256: of the file's bytes (of the pairs themselves where there is no file).
        split: train, test or dev; empty where the whole file was taken.
        dropped: the bad rows that were left out, one sentence each: file, row and field.
        notes: what else was left out or done, one sentence each.
    """

    name: str
    pairs: tuple[Pair, ...]
    rows: tuple[int, ...]
    source: str
    sha256: str
    split: str = ""
    dropped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        name: str,
        items: Sequence[Numbered],
        table: Table,
        *,
        split: str | None,
        dropped: Sequence[str] = (),
        notes: Sequence[str] = (),
    ) -> PairTable:
        """Make a table of the pairs ``items``, selected from a file.

        Args:
            name: the dataset's name.
            items: the pairs, with their rows in ``table``.
            table: the file.
            split: train, test or dev; None for the whole file.
            dropped: one sentence for each bad row that was left out.
            notes: one sentence for each other thing that was done.
        """
        return cls(
            name=name,
            pairs=tuple(item.pair for item in items),
            rows=tuple(item.row for item in items),
            source=str(table.path),
            sha256=table.sha256,
            split=split or "",
            dropped=tuple(dropped),
            notes=tuple(notes),
        )

    def __len__(self) -> int:
        return len(self.pairs)

    @overload
    def __getitem__(self, place: int) -> Pair: ...
    @overload
    def __getitem__(self, place: slice) -> PairTable: ...
    def __getitem__(self, place: int | slice) -> Pair | PairTable:
        """One pair, or a table of the selected pairs with their row numbers.

        Args:
            place: index or slice.
        """
        if isinstance(place, slice):
            return replace(self, pairs=self.pairs[place], rows=self.rows[place])
        return self.pairs[place]

    @property
    def pairs_sha256(self) -> str:
        """SHA-256 over the pairs' texts and concepts, in order."""
        return pairs_hash(self.pairs)

    @property
    def pair_ids(self) -> tuple[str, ...]:
        """A short hash of each pair's texts and concept, by which a row is known again in another file."""
        return tuple(pairs_hash([pair])[:12] for pair in self.pairs)

    def concepts(self) -> tuple[str | None, ...]:
        """The pairs' concepts, in order of first appearance; ``(None,)`` where there are none."""
        return tuple(dict.fromkeys(pair.concept for pair in self.pairs))


def pairs_hash(pairs: Sequence[Pair]) -> str:
    """SHA-256 over the texts and concepts of pairs, in order.

    Args:
        pairs: any number of pairs.
    """
    rows = [(plain(pair.prompt), pair.positive, pair.negative, pair.concept) for pair in pairs]
    return hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the columns that make a pair; the last three may be absent from a file.

    Attributes:
        prompt: column of the query; empty where the answers are conversations that hold it.
        positive: column of the answer with the concept.
        negative: column of the answer without it.
        concept: column of the concept's name; None where there is one concept.
        system: column of the system message.
        tools: column of the tools that the chat template describes.
    """

    prompt: str = "prompt"
    positive: str = "positive"
    negative: str = "negative"
    concept: str = "concept"
    system: str = "system"
    tools: str = "tools"

    def fields(self) -> tuple[str, str, str]:
        """Names of the three columns that every row must fill: prompt, positive and negative."""
        return self.prompt, self.positive, self.negative

    def fit(self, names: tuple[str, ...]) -> bool:
        """Whether a file has these prompt, positive and negative columns.

        Args:
            names: the file's column names.
        """
        return set(self.fields()) <= set(names)


@dataclass(frozen=True, slots=True)
class Request:
    """The arguments of ``load_dataset``, as a dataset receives them.

    Attributes:
        path: the file or folder; None for the data folder.
        split: ``train``, ``dev`` or ``test``; None for the dataset's default.
        seed: of the split and of ``limit``.
        columns: which columns make a pair, for a file of the user's own.
        concept_id: number of one concept, for a dataset that has several.
        drop_bad: leave bad rows out and name them, instead of raising.
        limit: pairs at most, of each concept.
    """

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
    """Base class of datasets: a named source of answer pairs.

    Attributes:
        name: the registered name.
        origin: where its authors publish it, and its licence.
        files: names that its files go by, role to names; the first name is the one messages ask for.
        columns: what makes a pair in it.
        judge: registered judge of its answers, where none is named.
        scores: of its judges; the last is what a strength is chosen by.
        instruction: sentence in front of a prompt that asks for the positive answer, ``{concept}`` standing for the
            pair's concept; empty where nobody wrote one.
    """

    judge: ClassVar[str] = "self"
    scores: ClassVar[tuple[str, ...]] = ("concept", "overall")
    instruction: ClassVar[str] = ""
    name: ClassVar[str]
    origin: ClassVar[str]
    files: ClassVar[Mapping[str, tuple[str, ...]]]
    columns: ClassVar[Columns]

    @classmethod
    def example_row(cls, number: int) -> dict[str, Any]:
        """An example row that shows the format of the dataset's files; a dataset with further columns adds them.

        Args:
            number: no two rows of different numbers are alike.
        """
        prompt, positive, negative = cls.columns.fields()
        return {prompt: f"Question {number}?", positive: f"Yes, {number}", negative: f"No, {number}"}

    @abstractmethod
    def load(self, request: Request) -> PairTable:
        """Load the requested pairs.

        Args:
            request: what is asked of it.

        Raises:
            DataError: a missing file, a bad row, a split that cannot be made.
        """


DATASETS: Registry[type[Dataset]] = Registry("dataset", "easyedit_split.datasets", group="easyedit_split.datasets")
