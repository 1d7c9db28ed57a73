"""AxBench (Appendix A): answers with and without a concept to the same input; ten concepts, 64 train and 8 test each.

Pairs come from the *paired* table (``input, winning_output, losing_output``). The other table of its authors holds
answers with a concept and answers without one for different inputs: no pairs, so it is refused here, and ``unpaired``
reads it for DiffMean, which needs none.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ..types import DataError
from .base import DATASETS, Columns, Dataset, Numbered, PairTable, Request
from .files import Table, read_table
from .named import locate, need_columns, refuse
from .pairing import read_pairs
from .splits import Sizes, limited, take

TOP = 10


@DATASETS.register("axbench")
class AxBench(Dataset):
    """AxBench's paired table, split by seed within each concept."""

    name = "axbench"
    origin = (
        "AxBench's authors (https://github.com/stanfordnlp/axbench, Apache-2.0; the paired table is not in the "
        "repository but published beside it)"
    )
    files = MappingProxyType({"pairs": ("dpo_train_data.parquet", "axbench_pairs.parquet")})
    columns = Columns("input", "winning_output", "losing_output", "output_concept")
    sizes = Sizes(train=64, test=8)
    instruction = "Your answer must be about this, or contain it: {concept}."

    @classmethod
    def example_row(cls, number: int) -> dict[str, Any]:
        """An example row of the paired table, for one of ten concepts.

        Args:
            number: its number.
        """
        concept = number % TOP
        return super().example_row(number) | {
            cls.columns.concept: f"concept {concept}",
            "concept_id": concept,
        }

    def load(self, request: Request) -> PairTable:
        """The pairs of one split (train by default) of one concept or of the first ten.

        Args:
            request: what is asked of the dataset.
        """
        refuse(AxBench, {"columns": request.columns})
        table = read_table(locate(AxBench, "pairs", request.path))
        refuse_unpaired(table)
        need_columns(table, (*self.columns.fields(), self.columns.concept, "concept_id"), self.name)
        groups, notes = concept_rows(table, request.concept_id)
        wanted = sorted(row for rows in groups.values() for row in rows)
        items, bad = read_pairs(table, self.columns, drop_bad=request.drop_bad, only=wanted)
        chosen: list[Numbered] = []
        for concept_id, rows in groups.items():
            name, own = f"{self.name}, concept {concept_id}", set(rows)
            members = [item for item in items if item.row in own]
            part, short = take(members, request.split or "train", self.sizes, name=name, seed=request.seed)
            chosen += limited(part, request.limit, name=name, seed=request.seed)
            notes += short
        split = request.split or "train"
        return PairTable.of(self.name, chosen, table, split=split, dropped=bad, notes=notes)


def is_unpaired(columns: tuple[str, ...]) -> bool:
    """Whether these are the columns of the unpaired table.

    Args:
        columns: column names of a file.
    """
    return {"input", "output", "category"} <= set(columns) and "winning_output" not in columns


def refuse_unpaired(table: Table) -> None:
    """Raise DataError for the unpaired table.

    Args:
        table: the file's rows.

    Raises:
        DataError: it is the unpaired table; says what it can be used for.
    """
    if is_unpaired(table.columns):
        raise DataError(
            f"{table.path}: this AxBench table is not paired: it has one 'output' per 'input'; give the paired table "
            "(dpo_train_data.parquet, with 'winning_output' and 'losing_output'), let the model write the others: "
            "easyedit-split pairs --from axbench:FILE; or train diff_mean on it with --unpaired and --concept-id"
        )


def concept_rows(table: Table, concept_id: int | None) -> tuple[dict[int, list[int]], tuple[str, ...]]:
    """Rows with a concept, by ``concept_id`` (the requested one or the first ten), and notes on the rows left out.

    Args:
        table: the file's rows.
        concept_id: number of the concept; None for the first ten.

    Returns:
        Row numbers by ``concept_id``, and one note for each kind of row left out.

    Raises:
        DataError: a row without a whole number as its ``concept_id``, or no such concept.
    """
    groups: dict[int, list[int]] = {}
    without = 0
    for number, row in enumerate(table.rows):
        if row.get("category", "positive") != "positive":
            without += 1
            continue
        groups.setdefault(_concept_id(row, f"{table.path}, row {number}"), []).append(number)
    ids = sorted(groups)
    if concept_id is not None and concept_id not in groups:
        raise DataError(f"{table.path}: no concept {concept_id}; it has {', '.join(map(str, ids))}")
    kept = ids[:TOP] if concept_id is None else [concept_id]
    notes: tuple[str, ...] = ()
    if without:
        notes += (f"{table.path}: {without} rows whose category is not 'positive' left out",)
    if concept_id is None and len(ids) > TOP:
        notes += (f"{table.path}: the first {TOP} of {len(ids)} concepts are used",)
    return {i: groups[i] for i in kept}, notes


def _concept_id(row: Mapping[str, Any], where: str) -> int:
    value = row.get("concept_id")
    try:
        if isinstance(value, int | float | str) and float(value) == int(float(value)):
            return int(float(value))
    except (ValueError, OverflowError):
        pass
    raise DataError(f"{where}: field 'concept_id' is {value!r}, wanted a whole number")
