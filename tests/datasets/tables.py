"""Tables of pairs in every format, as the datasets publish them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from easyedit_split.datasets import PairTable, load_dataset

Rows = list[dict[str, Any]]


def write(path: Path, rows: Rows) -> Path:
    """``rows`` in the format of the path's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def persona(count: int) -> Rows:
    keys = ("question", "answer_matching_behavior", "answer_not_matching_behavior")
    return [dict(zip(keys, (f"Statement {i}?", " Yes", " No"), strict=True)) for i in range(count)]


def offers(count: int) -> Rows:
    return [
        {"question": f"Offer {i}, or not?", "matching": f"Yes, {i}", "not_matching": f"No, {i}"} for i in range(count)
    ]


def axbench(concepts: int = 10, each: int = 72) -> Rows:
    return [
        {
            "input": f"Ask {i}",
            "winning_output": f"with {c} {i}",
            "losing_output": f"without {i}",
            "output_concept": f"concept {c}",
            "concept_id": c,
            "concept_genre": "text",
            "category": "positive",
        }
        for c in range(concepts)
        for i in range(each)
    ]


def of_splits(name: str, **settings: Any) -> dict[str, PairTable]:
    return {split: load_dataset(name, split=split, **settings) for split in ("train", "test", "dev")}
