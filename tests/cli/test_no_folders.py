"""No file that a command leaves names the folders that its inputs lie in."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from easyedit_split.interop.base import FORMATS
from easyedit_split.interop.exporting import export_artifact
from easyedit_split.interop.hub import model_card
from easyedit_split.model.load import load_model
from easyedit_split.steering.artifact import Artifact
from easyedit_split.types import ConfigError

from .shared import ROWS, Run, apply_line, sweep_line, train_line, write_rows

SECRET = "home-of-somebody"


def content(path: Path) -> bytes:
    """A file's bytes, unpacked."""
    data = path.read_bytes()
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        return data + str(table.schema.metadata).encode() + table.to_pandas().to_csv().encode()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return data + b"".join(archive.read(name) for name in archive.namelist())
    return gzip.decompress(data) if path.suffix == ".gz" else data


def telling(folder: Path) -> list[str]:
    """Files that name a folder above the inputs."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    assert found
    return [str(path.relative_to(folder)) for path in found if SECRET.encode() in content(path)]


@pytest.fixture
def home(tmp_path: Path, model: Path) -> Path:
    """Model and pairs in a folder that nobody else need know of."""
    folder = tmp_path / SECRET
    folder.mkdir()
    (folder / "tiny").symlink_to(model)
    write_rows(folder / "pairs.jsonl", [*ROWS, *({**row, "prompt": row["prompt"] + " Now?"} for row in ROWS)])
    return folder


def test_results_of_commands(run: Run, home: Path, tmp_path: Path) -> None:
    model, data, to = home / "tiny", home / "pairs.jsonl", tmp_path / "results"
    bad = write_rows(home / "bad.jsonl", [*ROWS, {**ROWS[0], "positive": ""}])
    short = ("--layer", 1, "--m", "-2:2:5", "--texts", 1, "--neutral", 2, "--max-new-tokens", 3, "--form", "vector")
    lines = (
        train_line(model, bad, to / "vector", "--drop-bad"),
        sweep_line(model, data, to / "vector", to / "sweep.parquet"),
        sweep_line(model, data, to / "vector", to / "sweep.csv", "--collateral", "--texts", 1),
        apply_line(model, to / "vector", "--prompt", "Is it?", "--out", to / "texts.jsonl"),
        ("fit", to / "sweep.csv", "--out", to / "fit.csv"),  # of too few points, which it says
        ("plot", to / "sweep.csv", "--out", to / "curves.svg"),
        ("recommend", to / "sweep.csv", "--save", to / "vector"),
        ("activations", "--model", model, "--data", data, "--layer", 1, "--out", to / "h.npz"),
        ("steer", "--model", model, "--data", data, "--out", to / "steered", "--set", "train.epochs=1", *short),
    )
    for line in lines:
        code, _, err = run(*line)
        assert code == 0 or line[0] in ("fit", "recommend"), err
    assert telling(to) == []
    assert Artifact.from_pretrained(to / "vector").record["model"]["id"] == "tiny"
    assert "tiny" in (to / "steered" / "report.md").read_text()


def test_exported_files_and_cards(run: Run, home: Path, tmp_path: Path) -> None:
    model, to = home / "tiny", tmp_path / "exported"
    for form in ("vector", "lora"):
        assert run(*train_line(model, home / "pairs.jsonl", tmp_path / form, "--form", form, "--limit", 2))[0] == 0
    network, tokenizer = load_model(str(model))
    done = []
    for name in FORMATS.names():
        for form in ("vector", "lora"):
            settings = {"m": 2.0, "model": network, "tokenizer": tokenizer, "positions": "all"}
            try:
                export_artifact(tmp_path / form, name, to / f"{name}-{form}", **settings)
            except ConfigError:
                continue
            done.append(name)
    assert {"peft", "vector-pt", "gguf-vector"} <= {name.replace("_", "-") for name in done}
    (to / "card.md").write_text(model_card(Artifact.from_pretrained(tmp_path / "lora"), False, (), None))
    assert telling(to) == []
    assert "tiny" in (to / "card.md").read_text(), "control: the model is named"


def test_control_a_path_anywhere_is_found(tmp_path: Path) -> None:
    import numpy as np
    import pandas as pd

    pd.DataFrame({"model": [f"/{SECRET}/tiny"]}).to_parquet(tmp_path / "a.parquet", compression="gzip")
    np.savez_compressed(tmp_path / "b.npz", model=np.array(f"/{SECRET}/tiny").astype("S"))
    assert telling(tmp_path) == ["a.parquet", "b.npz"]


def test_an_artifact_of_a_local_model_is_exported_with_the_model_named(
    run: Run, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert run(*train_line(home / "tiny", home / "pairs.jsonl", tmp_path / "lora", "--form", "lora"))[0] == 0
    line = ("export", tmp_path / "lora", "--to", "peft", "--m", 1, "--out", tmp_path / "peft")
    code, _, err = run(*line)
    assert code == 2
    assert "the artifact's model, tiny, cannot be loaded here: name it with --model" in err
    code, _, err = run(*line, "--model", home / "tiny")
    assert code == 0, err
    monkeypatch.chdir(home)  # where it lies, its name is enough
    assert run(*line, "--overwrite")[0] == 0
