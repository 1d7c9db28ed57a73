"""Where vectors are written and looked for: nothing is replaced in silence, and a wrong folder is said by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from easyedit_split.easyedit.locate import read_artifact
from easyedit_split.easyedit.train import folder_name
from easyedit_split.types import ArtifactError, ConfigError, DataError

from .flows import applier, train_in_host
from .hosts import ROWS, HostUnderTest


def test_one_folder_for_each_method_form_and_objective() -> None:
    names = {
        folder_name("SPLIT", "vector"): "SPLIT_vector",
        folder_name("easyedit_split/SPLIT", "lora"): "SPLIT_lora",
        folder_name("DiffMean", "vector"): "DiffMean_vector",
        folder_name("vector", "vector", "sft"): "vector_sft",
        folder_name("lora", "lora", "reps"): "lora_reps",
        folder_name("local_weight", "local_weight", "split"): "local_weight_split",
    }
    assert {made: wanted for made, wanted in names.items() if made != wanted} == {}
    assert len(names) == 6


def test_objectives_stand_apart_and_a_second_run_is_said(
    host: HostUnderTest, qwen: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for objective in ("sft", "split", "split"):
        train_in_host(host, tmp_path, qwen, ROWS[:2], alg_name="vector", objective=objective, n_epochs=1)
    folders = sorted(path.name for path in (tmp_path / "vectors" / "toy").iterdir())
    assert folders == ["vector_sft", "vector_split"]
    assert sum("vectors of an earlier run are replaced" in line for line in caplog.messages) == 1


@pytest.fixture
def vectors(host: HostUnderTest, qwen: Path, tmp_path: Path) -> Path:
    train_in_host(host, tmp_path, qwen, ROWS[:2], n_epochs=1)
    return tmp_path / "vectors" / "toy"


def apply(host: HostUnderTest, qwen: Path, folder: Path, load_dir: Path, layer: int = 1) -> object:
    values = {"SPLIT": {"layers": [layer], "multipliers": [1.0]}}
    return applier(host, folder, qwen, values, {"SPLIT": load_dir})


def test_a_wrong_load_dir_is_said_by_name_before_the_model_is_loaded(
    host: HostUnderTest, vectors: Path, qwen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", lambda *_, **__: 1 / 0)
    wanted = vectors / "SPLIT_vector"
    for load_dir, message in (
        (vectors, f"is a folder too high: name {wanted}"),
        (vectors / "spilt_vector", f"no such folder; vectors lie in {wanted}"),
        (tmp_path / "nowhere" / "x", "no such folder; train first"),
    ):
        with pytest.raises(ArtifactError) as said:
            apply(host, qwen, tmp_path, load_dir)
        assert message in str(said.value)
    with pytest.raises(ZeroDivisionError):  # the control: a right folder comes to the model
        apply(host, qwen, tmp_path, wanted)


def test_old_files_of_the_host_are_applied_and_said(
    host: HostUnderTest, vectors: Path, qwen: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = vectors / "spilt_vector"
    old.mkdir()
    torch.save(torch.ones(32), old / "layer_1.pt")
    apply(host, qwen, tmp_path, old)
    (line,) = [line for line in caplog.messages if "no vectors of this package" in line]
    assert "EasyEdit2's own layer_1.pt" in line
    assert line.endswith(f"this package's vectors stand beside it, in {vectors / 'SPLIT_vector'}")
    with pytest.raises(ArtifactError, match=r"own vectors of layers \[1\], and layers \[2\] are asked for"):
        read_artifact(old, (2,))


def test_a_wrong_layer_or_family_is_said_before_the_model_is_loaded(
    host: HostUnderTest, qwen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", lambda *_, **__: 1 / 0)
    with pytest.raises(ConfigError, match="99"):
        train_in_host(host, tmp_path, qwen, ROWS[:2], layers=[99])
    link = tmp_path / "mine"
    link.symlink_to(qwen)
    with pytest.raises(ConfigError, match=r"'.*mine' holds none of llama, gpt, .*a qwen2 model: one with 'qwen'"):
        train_in_host(host, Path(tmp_path), link, ROWS[:2])


def test_a_bad_row_names_the_remedy_of_a_yaml_file(host: HostUnderTest, qwen: Path, tmp_path: Path) -> None:
    missing = [*ROWS[:2], {**ROWS[2], "not_matching": float("nan")}]
    same = [*ROWS[:2], {**ROWS[2], "not_matching": ROWS[2]["matching"]}]
    for rows in (missing, same):
        with pytest.raises(DataError, match=r"toy, row 2: .*drop bad rows \(drop_bad: true in the YAML file\)$"):
            train_in_host(host, tmp_path, qwen, rows, n_epochs=1)
        assert train_in_host(host, tmp_path, qwen, rows, n_epochs=1, drop_bad=True)
