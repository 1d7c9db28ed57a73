"""The paper's splits: drawn by seed, the same for ever, and never from too few rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from easyedit_split.datasets import load_dataset
from easyedit_split.types import DataError

from .tables import persona, write

# --- the paper's splits ----------------------------------------------------------------------------------------------


def test_splits_stay_the_same_for_ever(tmp_path: Path) -> None:
    path = write(tmp_path / "psychopathy.jsonl", persona(1000))
    assert load_dataset(f"psychopathy:{path}", split="train").rows[:6] == (0, 3, 4, 8, 11, 12)
    assert load_dataset(f"psychopathy:{path}", split="test").rows[:5] == (7, 28, 50, 57, 74)


def test_dropping_a_row_moves_no_other(tmp_path: Path) -> None:
    rows = persona(1000)
    whole = load_dataset(f"psychopathy:{write(tmp_path / 'a.jsonl', rows)}").rows
    rows[whole[3]]["question"] = ""
    less = load_dataset(f"psychopathy:{write(tmp_path / 'b.jsonl', rows)}", drop_bad=True).rows
    assert set(whole) - set(less) == {whole[3]}
    assert len(set(less) - set(whole)) == 1, "one row moves up into its place"


def test_too_few_rows_for_the_papers_split(tmp_path: Path) -> None:
    path = write(tmp_path / "psychopathy.jsonl", persona(599))
    with pytest.raises(DataError, match="599 usable rows, but 500 train and 100 test rows are needed"):
        load_dataset(f"psychopathy:{path}")
    write(path, persona(600))
    assert len(load_dataset(f"psychopathy:{path}").pairs) == 500
    with pytest.raises(DataError, match="train and test use all 600 rows, nothing is left for dev"):
        load_dataset(f"psychopathy:{path}", split="dev")


# --- names and requests ----------------------------------------------------------------------------------------------


def test_limit_is_a_seeded_part_of_the_split(tmp_path: Path) -> None:
    path = write(tmp_path / "psychopathy.jsonl", persona(1000))
    whole = load_dataset(f"psychopathy:{path}")
    part = load_dataset(f"psychopathy:{path}", limit=20)
    assert set(part.rows) < set(whole.rows)
    assert part.rows != whole.rows[:20]
    assert part.rows == load_dataset(f"psychopathy:{path}", limit=20).rows
