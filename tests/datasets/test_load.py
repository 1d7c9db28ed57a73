"""Names and requests: where a file is looked for, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from easyedit_split.config import ConfigError
from easyedit_split.datasets import DATASETS, load_dataset
from easyedit_split.datasets.base import Request
from easyedit_split.types import DataError

from .tables import persona, write


def test_the_data_folder_is_asked_and_what_is_missing_is_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASYEDIT_SPLIT_DATA", str(tmp_path))
    for name, file, licence in (
        ("psychopathy", "psychopathy.jsonl", "CC-BY-4.0"),
        ("powerseeking", "powerseeking_train.csv", "MIT"),
        ("axbench", "dpo_train_data.parquet", "Apache-2.0"),
    ):
        with pytest.raises(DataError, match=rf"{name}: no {file}.* in {tmp_path}: get it from .*{licence}"):
            load_dataset(name)
    write(tmp_path / "psychopathy.jsonl", persona(1000))
    assert len(load_dataset("psychopathy").pairs) == 500
    monkeypatch.delenv("EASYEDIT_SPLIT_DATA")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"in data \(no such folder\)"):
        load_dataset("psychopathy")
    write(tmp_path / "data" / "psychopathy.jsonl", persona(700))
    assert len(load_dataset("psychopathy").pairs) == 500


def test_unknown_names_and_requests() -> None:
    with pytest.raises(DataError, match=r"no dataset and no file is called 'psychopaty' \(did you mean 'psychopathy'"):
        load_dataset("psychopaty")
    with pytest.raises(DataError, match=r"absent.csv: no such file"):
        load_dataset("absent.csv")
    with pytest.raises(DataError, match="unknown split 'training'; allowed: train, test, dev"):
        load_dataset("psychopathy", split="training")
    with pytest.raises(DataError, match="psychopathy takes no concept_id"):
        load_dataset("psychopathy", concept_id=1)
    with pytest.raises(DataError, match="psychopathy takes no columns"):
        load_dataset("psychopathy", columns={"prompt": "x"})
    with pytest.raises(ConfigError, match="limit is 0, must be at least 1"):
        load_dataset("psychopathy", limit=0)
    with pytest.raises(DataError, match="no dataset and no file is called 'local'"):
        load_dataset("local")
    with pytest.raises(DataError, match="local needs a file"):
        DATASETS["local"]().load(Request())
