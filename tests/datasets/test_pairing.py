"""Bad rows: each is named, and dropped only on demand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from easyedit_split.datasets import load_dataset
from easyedit_split.types import DataError

from .tables import Rows, write


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"positive": None}, "field 'positive' is missing"),
        ({"prompt": " \n"}, "field 'prompt' is empty"),
        ({"negative": "yes"}, "fields 'positive' and 'negative' hold the same answer"),
    ],
)
def test_a_bad_row_is_named_and_dropped_only_on_demand(
    tmp_path: Path, ending: str, change: dict[str, Any], message: str
) -> None:
    rows: Rows = [{"prompt": f"{i}?", "positive": "yes", "negative": "no"} for i in range(5)]
    rows[2] |= change
    path = write(tmp_path / f"mine.{ending}", rows)
    with pytest.raises(DataError, match=f"mine.{ending}, row 2: {message}; mend it, or drop bad rows"):
        load_dataset(str(path))
    table = load_dataset(str(path), drop_bad=True)
    assert table.rows == (0, 1, 3, 4)
    assert table.dropped == (f"{path}, row 2: {message}",)


def test_missing_keys_nan_and_numbers_are_bad_rows(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(
        '{"prompt": "a", "positive": "b", "negative": "c"}\n'
        '{"prompt": "a", "positive": "b"}\n'
        '{"prompt": "a", "positive": NaN, "negative": "c"}\n'
        '{"prompt": "a", "positive": 1, "negative": "c"}\n'
    )
    with pytest.raises(DataError) as caught:
        load_dataset(str(path))
    for part in (
        "row 1: field 'negative' is missing",
        "row 2: field 'positive' is missing",
        "row 3: field 'positive' is a int, wanted text",
    ):
        assert part in str(caught.value)
    assert "row 0" not in str(caught.value)


def test_many_bad_rows_are_counted_and_none_left_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", [{"prompt": "", "positive": "a", "negative": "b"}] * 15)
    with pytest.raises(DataError, match=r"row 9: .* and 5 more; mend it"):
        load_dataset(str(path))
    with pytest.raises(DataError, match="none of 15 rows can be used"):
        load_dataset(str(path), drop_bad=True)
