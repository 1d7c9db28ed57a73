"""Artifacts: every bit and setting survives, concepts are named, nothing is overwritten unasked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from easyedit_split.steering import artifact_files
from easyedit_split.steering.artifact import Artifact
from easyedit_split.steering.artifact_files import CONFIG_FILE, FORMAT_VERSION, HISTORY_FILE, TENSOR_FILE
from easyedit_split.steering.forms.base import FORMS
from easyedit_split.steering.report import parameter_norm
from easyedit_split.storage import StorageError
from easyedit_split.types import ArtifactError, ConfigError

from ..small import equal, made, world
from .artifacts import artifact

ODD = ("a/b", "a", "a/b/0.residual", "naïve 思考 🙂", "with space.and.dots", "..", "C:\\x\n", "\u2028")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- round trips -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS.names())
def test_round_trip_is_bit_exact(form: str, tmp_path: Path) -> None:
    saved = artifact(form)
    with torch.no_grad():
        first = next(saved["default"].parameters())
        first.view(-1)[:3] = torch.tensor([-0.0, 1e-42, 3.4e38])  # a signed zero, a subnormal, nearly the largest
    loaded = Artifact.from_pretrained(saved.save_pretrained(tmp_path / "out"))
    assert equal(saved["default"], loaded["default"])
    assert loaded.config == saved.config
    assert loaded.record == saved.record
    assert loaded.history == saved.history
    assert loaded.digest() == saved.digest()
    assert torch.signbit(next(loaded["default"].parameters()).view(-1)[0])
    loaded.check_model(world().model)


def test_every_setting_survives(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "site": "attn.o_proj",
        "placement": "block_output",
        "positions": "answer",
        "skip_prefix": True,
        "form_config": {"rank": 2, "alpha": 0.5, "apply_alpha": True},
    }
    saved = artifact("lora", **settings)
    loaded = Artifact.from_pretrained(saved.save_pretrained(tmp_path / "out"))
    assert loaded.config == saved.config
    assert loaded.config.prefix_ids
    assert loaded.config.positions == "answer"
    form: Any = loaded["default"]["0.attn.o_proj"]
    assert form.config.scale == 0.25
    assert artifact("lora").config != saved.config


def test_the_files_are_what_the_docs_say(tmp_path: Path) -> None:
    folder = artifact("lora").save_pretrained(tmp_path / "out")
    assert names(folder) == sorted([HISTORY_FILE, CONFIG_FILE, TENSOR_FILE])
    tensors = safetensors.torch.load_file(folder / TENSOR_FILE)
    assert sorted(tensors) == [f"default/{b}.mlp.down_proj.lora_{x}" for b in (0, 2) for x in "AB"]
    assert all(tensor.dtype == torch.float32 for tensor in tensors.values())
    stored = json.loads((folder / CONFIG_FILE).read_text("utf-8"))
    assert stored["format_version"] == FORMAT_VERSION
    assert stored["shapes"] == {"0.mlp.down_proj": [48, 32], "2.mlp.down_proj": [48, 32]}
    assert stored["record"]["note"] == "naïve"
    assert artifact().digest() != artifact("vector", layers=(0, 1)).digest()


def test_names_of_concepts_may_be_odd(tmp_path: Path) -> None:
    here = world()
    saved = Artifact({name: made(here, seed=k) for k, name in enumerate(ODD)}, history={"\u2028": [{"step": 1}]})
    loaded = Artifact.from_pretrained(saved.save_pretrained(tmp_path / "out"))
    assert loaded.concepts == ODD
    assert all(equal(saved[name], loaded[name]) for name in ODD)
    assert not equal(loaded["a"], loaded["a/b"])
    assert loaded.history == saved.history
    assert names(tmp_path) == ["out"]


def test_what_is_applied_is_what_was_saved(tmp_path: Path) -> None:
    here = world(dtype=torch.float32)
    saved = made(here, "local_weight")
    folder = Artifact({"default": saved}).save_pretrained(tmp_path / "out")
    loaded = Artifact.from_pretrained(folder)["default"]
    x = torch.randn(1, 3, 48)
    assert torch.equal(saved["1.mlp.down_proj"].delta(x, 2.0), loaded["1.mlp.down_proj"].delta(x, 2.0))


# --- concepts --------------------------------------------------------------------------------------------------------


def test_concepts_are_named_or_there_is_one() -> None:
    here = world()
    one, two = made(here), made(here, seed=8)
    assert Artifact({"default": one})[None] is one
    assert Artifact({"default": one})["anything"] is one  # trained without concepts: serves all
    assert Artifact({"fear": one}).only() is one
    both = Artifact({"fear": one, "joy": two})
    assert both["joy"] is two
    with pytest.raises(ConfigError, match="2 concepts: name one of fear, joy"):
        both.only()
    with pytest.raises(ConfigError, match=r"no concept 'jyo'.*did you mean 'joy'"):
        both["jyo"]
    with pytest.raises(ConfigError, match="no concept 'joy'"):
        Artifact({"fear": one})["joy"]


def test_interventions_of_one_artifact_share_one_configuration() -> None:
    here = world()
    with pytest.raises(ConfigError, match="share one configuration"):
        Artifact({"fear": made(here), "joy": made(here, layers=(2,))})
    with pytest.raises(ConfigError, match="at least one"):
        Artifact({})


# --- saving ----------------------------------------------------------------------------------------------------------


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    first, second = artifact(), artifact("lora")
    folder = first.save_pretrained(tmp_path / "out")
    with pytest.raises(ArtifactError, match="exists already"):
        second.save_pretrained(folder)
    assert Artifact.from_pretrained(folder).config.form == "vector"
    second.save_pretrained(folder, overwrite=True)
    assert Artifact.from_pretrained(folder).config.form == "lora"
    assert names(tmp_path) == ["out"]


def test_a_folder_of_other_things_is_never_overwritten(tmp_path: Path) -> None:
    folder, file = tmp_path / "thesis", tmp_path / "file"
    folder.mkdir()
    (folder / "chapter").write_text("words")
    file.write_text("words")
    for place in (folder, file):
        with pytest.raises(ArtifactError, match="not an artifact"):
            artifact().save_pretrained(place, overwrite=True)
    assert (folder / "chapter").read_text() == "words"
    (folder / "chapter").unlink()
    artifact().save_pretrained(folder, overwrite=True)  # an empty one may be


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_parameters_that_are_not_finite_are_not_saved(bad: float, tmp_path: Path) -> None:
    saved = artifact()
    with torch.no_grad():
        next(saved["default"].parameters())[4] = bad
    with pytest.raises(ArtifactError, match=r"default/0.residual.v holds a value that is not finite"):
        saved.save_pretrained(tmp_path / "out")
    assert names(tmp_path) == []


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_exception_in_the_middle_leaves_what_was(
    overwrite: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if overwrite:
        artifact().save_pretrained(tmp_path / "out")

    def fail(*args: Any, **kwargs: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(artifact_files, "write_history", fail)  # tensors and configuration are written
    with pytest.raises(StorageError, match="disk full"):
        artifact("lora").save_pretrained(tmp_path / "out", overwrite=overwrite)
    assert names(tmp_path) == (["out"] if overwrite else [])
    if overwrite:
        assert Artifact.from_pretrained(tmp_path / "out").config.form == "vector"


# --- the model -------------------------------------------------------------------------------------------------------


def test_norm_is_over_all_parameters() -> None:
    here = world()
    intervention = made(here, "lora")
    squares = [float(value.double().square().sum()) for value in intervention.state_dict().values()]
    assert parameter_norm(intervention) == pytest.approx(sum(squares) ** 0.5, rel=1e-14)
    assert parameter_norm(made(here, "lora", scale=0.0)) == 0
