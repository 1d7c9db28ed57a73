"""AxBench's table of answers without partners is read only as what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from easyedit_split.datasets import load_dataset, load_unpaired
from easyedit_split.types import DataError

from .tables import axbench, write

# --- the paper's splits ----------------------------------------------------------------------------------------------


def unpaired(path: Path) -> Path:
    rows = [
        {
            "input": f"Ask {i}",
            "output": f"answer {i}",
            "output_concept": "EEEEE" if i % 2 else "c0",
            "concept_genre": "text" if i < 20 else "code",
            "category": "negative" if i % 2 else "positive",
            "concept_id": -1 if i % 2 else 0,
        }
        for i in range(30)
    ]
    return write(path, [row for row in rows if row["concept_id"] == -1 or row["concept_genre"] == "text"])


def test_the_unpaired_table_is_refused_and_read_only_as_what_it_is(tmp_path: Path) -> None:
    path = unpaired(tmp_path / "axbench_concept10_train.parquet")
    for name in (str(path), f"axbench:{path}"):
        with pytest.raises(DataError, match=r"not paired: .*'winning_output' and 'losing_output'.* with --unpaired"):
            load_dataset(name)
    table = load_unpaired(path, concept_id=0)
    assert (table.concept, len(table.positives), len(table.negatives)) == ("c0", 10, 10)
    assert {e.prompt for e in table.positives}.isdisjoint({e.prompt for e in table.negatives})
    assert all(e.row < 20 for e in table.negatives), "of the concept's genre only"
    with pytest.raises(DataError, match="no concept 4"):
        load_unpaired(path, concept_id=4)
    with pytest.raises(DataError, match="not AxBench's unpaired table"):
        load_unpaired(write(tmp_path / "pairs.parquet", axbench(1)), concept_id=0)


# --- the real files --------------------------------------------------------------------------------------------------


def test_real_axbench_table_is_unpaired(real: Path) -> None:
    path = real / "axbench_concept10_train.parquet"
    with pytest.raises(DataError, match="not paired"):
        load_dataset(f"axbench:{path}")
    table = load_unpaired(path, concept_id=9)
    assert table.concept == "references to nighttime or nocturnal themes"
    assert (len(table.positives), len(table.negatives)) == (72, 72)
