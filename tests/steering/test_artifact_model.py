"""An artifact knows its model: another is refused, what else differs is said."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from easyedit_split.model.digests import model_digests, versions
from easyedit_split.steering.artifact import Artifact
from easyedit_split.steering.intervention import Intervention
from easyedit_split.text.prompt_tokens import tokenizer_hash
from easyedit_split.types import ArtifactError

from ..small import made, world
from ..tiny import tiny_model
from ..toy_tokenizers import qwen3
from .artifacts import artifact


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
    here.model.config.num_hidden_layers = 2
    unrecorded = artifact(layers=(2,))
    del unrecorded.record["model"]
    with pytest.raises(ArtifactError, match="layer 2 does not exist"):
        unrecorded.check_model(here.model)


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


def test_other_weights_or_settings_under_the_same_name_are_said() -> None:
    saved, here = artifact(), world()
    saved.record["model"] |= model_digests(here.model)
    saved.record["versions"] = versions()
    assert saved.check_model(here.model) == ()
    with torch.no_grad():
        here.model.model.layers[2].mlp.down_proj.weight[0, 7] += 1e-3
    (note,) = saved.check_model(here.model, name="tiny")
    assert note.startswith("its weights are not those that the artifact was trained with (digest ")
    here.model.config.rms_norm_eps = 1e-3
    assert len(saved.check_model(here.model, name="tiny")) == 2
    assert saved.check_model(here.model, name="other") == ("id was tiny, is other",), "which says it all"
