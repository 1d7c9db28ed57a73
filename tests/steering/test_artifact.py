"""Artifacts: saved and loaded bit for bit, and every way a folder can be wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

import easyedit_split.steering.artifact as artifact_module
from easyedit_split.model.load import describe
from easyedit_split.steering.artifact import Artifact, norm
from easyedit_split.steering.artifact_files import CONFIG_FILE, FORMAT_VERSION, HISTORY_FILE, TENSOR_FILE, digest_of
from easyedit_split.steering.forms.base import FORMS
from easyedit_split.steering.intervention import Intervention
from easyedit_split.storage import StorageError
from easyedit_split.text.template import tokenizer_hash
from easyedit_split.types import ArtifactError, ConfigError

from ..small import equal, made, world
from ..tiny import tiny_model
from ..toy_tokenizers import qwen3

FIRST = "default/0.mlp.down_proj.lora_A"
ODD = ("a/b", "a", "a/b/0.residual", "naïve 思考 🙂", "with space.and.dots", "..", "C:\\x\n", "\u2028")


def artifact(form: str = "vector", layers: tuple[int, ...] = (0, 2), **settings: Any) -> Artifact:
    here = world()
    record = {"model": describe(here.model, "tiny"), "objective": "split", "seed": 3, "note": "naïve"}
    history = {"default": [{"step": 1, "loss": 0.1}, {"step": 2, "loss": 1 / 3}]}
    return Artifact({"default": made(here, form, layers=layers, **settings)}, record, history)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- round trips ---------------------------------------------------------------------------------------------------


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


# --- concepts ------------------------------------------------------------------------------------------------------


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


# --- saving --------------------------------------------------------------------------------------------------------


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

    monkeypatch.setattr(artifact_module.Artifact, "_write_history", fail)  # tensors and configuration are written
    with pytest.raises(StorageError, match="disk full"):
        artifact("lora").save_pretrained(tmp_path / "out", overwrite=overwrite)
    assert names(tmp_path) == (["out"] if overwrite else [])
    if overwrite:
        assert Artifact.from_pretrained(tmp_path / "out").config.form == "vector"


# --- loading what is wrong -----------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return artifact("lora").save_pretrained(tmp_path / "out")


def refused(folder: Path, match: str) -> None:
    with pytest.raises(ArtifactError, match=match):
        Artifact.from_pretrained(folder)


def edit(folder: Path, change: Callable[[dict[str, Any], dict[str, Any]], object], *, seal: bool = True) -> None:
    """Change configuration and tensors; ``seal`` gives the result a digest of its own."""
    stored = json.loads((folder / CONFIG_FILE).read_text("utf-8"))
    tensors: dict[str, Any] = safetensors.torch.load_file(folder / TENSOR_FILE)
    change(stored, tensors)
    safetensors.torch.save_file(tensors, folder / TENSOR_FILE)
    if seal:
        stored["digest"] = digest_of({key: value for key, value in stored.items() if key != "digest"}, tensors)
    (folder / CONFIG_FILE).write_text(json.dumps(stored), "utf-8")


def test_control_an_edit_that_changes_nothing_is_accepted(folder: Path) -> None:
    saved = Artifact.from_pretrained(folder).digest()
    for seal in (False, True):
        edit(folder, lambda stored, tensors: None, seal=seal)
        assert Artifact.from_pretrained(folder).digest() == saved


@pytest.mark.parametrize("place", [-1, -400])
def test_a_flipped_bit_in_the_tensors_is_found(folder: Path, place: int) -> None:
    data = bytearray((folder / TENSOR_FILE).read_bytes())
    data[place] ^= 1
    (folder / TENSOR_FILE).write_bytes(bytes(data))
    refused(folder, "digest does not match")


@pytest.mark.parametrize(
    "change",
    [
        lambda stored, tensors: stored.update(placement="block_output"),
        lambda stored, tensors: stored["record"].update(seed=4),
        lambda stored, tensors: stored.update(digest="sha256:0"),
        lambda stored, tensors: stored.pop("digest"),
        lambda stored, tensors: stored.update(added=1),
        lambda stored, tensors: tensors.update({"default/0.mlp.down_proj.lora_A": torch.zeros(4, 48)}),
        lambda stored, tensors: tensors.update(
            {name: tensor.double() for name, tensor in tensors.items()}  # same values, other bytes
        ),
    ],
)
def test_an_edit_after_saving_is_found(folder: Path, change: Any) -> None:
    edit(folder, change, seal=False)
    refused(folder, "digest does not match")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda s, t: t.pop("default/2.mlp.down_proj.lora_B"), "missing or unexpected: default/2.mlp.down_proj.lora_B"),
        (lambda s, t: t.update(extra=torch.zeros(1)), "missing or unexpected: extra"),
        (lambda s, t: t.update({FIRST: torch.zeros(48, 4)}), r"is \[48, 4\], wanted \[4, 48\]"),
        (lambda s, t: t.update({FIRST: torch.zeros(4, 48).double()}), r"is torch.float64, wanted torch.float32"),
        (lambda s, t: t[FIRST].fill_(torch.nan), "lora_A holds a value that is not finite"),
        (lambda s, t: s.update(format_version=FORMAT_VERSION + 1), r"format_version 2, .* up to 1: upgrade"),
        (lambda s, t: s.pop("format_version"), "format_version None"),
        (lambda s, t: s.update(package="peft"), "not an artifact of easyedit_split"),
        (lambda s, t: s.update(placment="site"), r"unknown key 'placment'.*did you mean 'placement'"),
        (lambda s, t: s.update(placement="everywhere"), r"'everywhere' is not allowed"),
        (lambda s, t: s.update(form="lroa"), r"unknown form 'lroa'.*'lora'"),
        (lambda s, t: s.update(form_config={"rank": 4, "rnak": 1}), r"unknown key 'rnak'"),
        (lambda s, t: s.update(form_config={"rank": 3}), r"is \[4, 48\], wanted \[3, 48\]"),
        (lambda s, t: s["sites"].append("0.mlp.down_proj"), "sites holds one twice"),
        (lambda s, t: s["sites"].append("down_proj"), "is not a site"),
        (lambda s, t: s["shapes"].pop("2.mlp.down_proj"), r"'2.mlp.down_proj' is missing"),
        (lambda s, t: s["shapes"].update({"2.mlp.down_proj": [-48, 32]}), "negative|exceeds"),
        (lambda s, t: s["shapes"].update({"2.mlp.down_proj": "wide"}), CONFIG_FILE),
        (lambda s, t: s.pop("record"), "'record' is missing"),
        (lambda s, t: s.pop("sites"), "sites missing"),
        (lambda s, t: s.update(concepts=[]), "at least one"),
    ],
)  # fmt: skip
def test_files_that_do_not_fit_together_are_refused(folder: Path, change: Any, match: str) -> None:
    edit(folder, change)
    refused(folder, match)


@pytest.mark.parametrize("file", [CONFIG_FILE, TENSOR_FILE])
def test_a_missing_or_torn_file_is_refused(folder: Path, file: str, tmp_path: Path) -> None:
    data = (folder / file).read_bytes()
    (folder / file).write_bytes(data[: len(data) // 2])
    refused(folder, file)
    (folder / file).unlink()
    refused(folder, file)
    refused(tmp_path / "nowhere", "no such file")
    shutil.rmtree(folder)


def test_history_is_optional_but_not_garbage(folder: Path) -> None:
    (folder / HISTORY_FILE).unlink()
    assert Artifact.from_pretrained(folder).history == {}
    for line in ('{"step": 1}', '{"concept": 1, "step": 1}', '{"concept": "a", "loss": "low"}', '["a"]'):
        (folder / HISTORY_FILE).write_text(line + "\n")
        refused(folder, "not a training history")
    (folder / HISTORY_FILE).write_text('{"concept": "a", "step": 1, "loss": 0.5}\n')
    assert Artifact.from_pretrained(folder).history == {"a": [{"step": 1, "loss": 0.5}]}


# --- the model -----------------------------------------------------------------------------------------------------


def test_another_model_is_refused() -> None:
    saved = artifact()
    assert saved.check_model(world().model) == ()
    with pytest.raises(ArtifactError, match=r"model_type qwen2, this one has llama: load 'tiny'"):
        saved.check_model(tiny_model("llama"))
    del saved.record["model"]
    saved.check_model(tiny_model("llama"))  # nothing is known of its model, and the widths fit


def test_sites_and_widths_are_checked_even_without_a_record() -> None:
    here = world()
    too_deep = Artifact({"default": Intervention(made(here, layers=(2,)).config, [(16, 16)])})
    with pytest.raises(ArtifactError, match=r"2.residual maps 16 to 16, this model's site 32 to 32"):
        too_deep.check_model(here.model)
    here.model.model.layers = here.model.model.layers[:2]
    with pytest.raises(ArtifactError, match="layer 2 does not exist"):
        artifact(layers=(2,)).check_model(here.model)


def test_what_else_differs_is_said() -> None:
    saved = artifact()
    notes = saved.check_model(tiny_model("qwen2", torch.bfloat16))
    assert notes == ("dtype was float64, is bfloat16",)


def test_another_id_revision_or_tokenizer_is_said_and_what_is_unknown_is_not() -> None:
    saved, here = artifact(), world()
    saved.record["model"]["revision"] = "abc1"
    saved.record["tokenizer_hash"] = tokenizer_hash(here.tokenizer)
    assert saved.check_model(here.model, name="tiny", revision="abc1", tokenizer=here.tokenizer) == ()
    assert saved.check_model(here.model, name="other", revision="def2") == ("id was tiny, is other",)
    assert saved.check_model(here.model, name="tiny", revision="def2") == ("revision was abc1, is def2",)
    (note,) = saved.check_model(here.model, tokenizer=qwen3())
    assert note == "the tokenizer or its chat template is not the one the artifact was trained with"
    here.model.config._name_or_path = "loaded"  # as transformers notes it
    here.model.config._commit_hash = "def2"
    assert saved.check_model(here.model) == ("id was tiny, is loaded",)
    assert saved.check_model(here.model, name="tiny", revision="abc1") == ("revision was abc1, is def2",)
    del saved.record["model"]["id"], saved.record["model"]["revision"], saved.record["tokenizer_hash"]
    assert saved.check_model(here.model, name="other", tokenizer=qwen3()) == ()


def test_one_folder_by_two_paths_is_one_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved, here = artifact(), world()
    for name in ("tiny", "other"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    assert saved.check_model(here.model, name=str(tmp_path / "tiny")) == ()
    assert saved.check_model(here.model, name=str(tmp_path / "other")) == (f"id was tiny, is {tmp_path / 'other'}",)


def test_norm_is_over_all_parameters() -> None:
    here = world()
    intervention = made(here, "lora")
    squares = [float(value.double().square().sum()) for value in intervention.state_dict().values()]
    assert norm(intervention) == pytest.approx(sum(squares) ** 0.5, rel=1e-14)
    assert norm(made(here, "lora", scale=0.0)) == 0
