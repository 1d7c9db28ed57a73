"""Sweep files keep every bit in every format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from easyedit_split.scoring.sweep_encoded import sweep_encoded
from easyedit_split.storage import StorageError
from easyedit_split.sweep_table import COLUMNS, write_table
from easyedit_split.types import ConfigError

from ..small import world
from .sweeps import CONCEPTS, two


def table_of_odd_values() -> pd.DataFrame:
    here = world(pairs=CONCEPTS)
    table = sweep_encoded(here.model, here.rows, two(here), (0.1, 1 / 3, -7e-300))
    table.loc[0, ["util", "status"]] = np.nan, "utility_undefined"
    table.loc[1, "concept"] = 'a "b", c\n思考'
    table.loc[2, "pref"] = np.nextafter(0.1, 1)
    return table


def as_written(texts: pd.DataFrame) -> pd.DataFrame:
    """CSV texts as Python reads them, empty as NaN."""
    for name in ("m1", "m2", "L_p", "L_n", "pref", "util"):
        texts[name] = [float(value or "nan") for value in texts[name]]
    return texts.astype(dict.fromkeys(("pair", "T_p", "T_n", "seed"), int))


READERS: dict[str, Any] = {
    ".parquet": pd.read_parquet,
    ".csv": lambda path: as_written(pd.read_csv(path, dtype=str, keep_default_na=False)),
    ".json": lambda path: pd.DataFrame(json.loads(path.read_text("utf-8"))),
}  # fmt: skip


@pytest.mark.parametrize("suffix", sorted(READERS))
def test_files_keep_every_bit(suffix: str, tmp_path: Path) -> None:
    table, path = table_of_odd_values(), tmp_path / f"sweep{suffix}"
    write_table(table, path)
    read = READERS[suffix](path)
    for name in ("m1", "m2", "L_p", "L_n", "pref", "util"):
        np.testing.assert_array_equal(read[name].to_numpy(np.float64), table[name].to_numpy())
    for name in ("concept", "status", "form", "pair", "T_p", "seed"):
        assert read[name].tolist() == table[name].tolist()
    assert tuple(read.columns) == COLUMNS
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_control_fifteen_places_lose_bits(tmp_path: Path) -> None:
    table = table_of_odd_values()
    table.to_json(tmp_path / "sweep.json", orient="records", double_precision=15)
    read = pd.DataFrame(json.loads((tmp_path / "sweep.json").read_text("utf-8")))
    assert not np.array_equal(read.m1, table.m1)


def test_json_has_no_nan(tmp_path: Path) -> None:
    write_table(table_of_odd_values(), tmp_path / "sweep.json")
    text = (tmp_path / "sweep.json").read_text("utf-8")
    assert "NaN" not in text
    assert '"util": null' in text


def test_another_ending_is_refused_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = table_of_odd_values()
    with pytest.raises(ConfigError, match=r"sweep.xlsx: .*\.parquet, \.csv, \.json"):
        write_table(table, tmp_path / "sweep.xlsx")

    def half(self: Any, path: Path, **_: Any) -> None:
        path.write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(pd.DataFrame, "to_csv", half)
    with pytest.raises(StorageError, match="disk full"):
        write_table(table, tmp_path / "sweep.csv")
    assert list(tmp_path.iterdir()) == []
