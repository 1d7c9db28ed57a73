"""An artifact knows its model: another is refused, what else differs is said."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from easyedit_split.model.describe import describe, name_of, recorded_name
from easyedit_split.model.digests import model_digests, versions
from easyedit_split.scoring.sweep_pairs import with_max_length
from easyedit_split.steering.artifact import Artifact
from easyedit_split.steering.intervention import Intervention
from easyedit_split.steering.steering import Steering
from easyedit_split.text.prompt_tokens import tokenizer_hash
from easyedit_split.types import ArtifactError

from ..small import World, made, world
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


def test_a_folder_is_known_by_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved, here = artifact(), world()
    for name in ("tiny", "other"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    assert saved.check_model(here.model, name=str(tmp_path / "tiny")) == ()
    assert saved.check_model(here.model, name=str(tmp_path / "other")) == ("id was tiny, is other",)
    saved.record["model"]["id"] = "/home/somebody/models/tiny"  # as earlier versions kept it
    assert saved.check_model(here.model, name=str(tmp_path / "tiny")) == ()


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("/home/somebody/models/tiny/", "tiny"),
        ("../models/tiny", "tiny"),
        ("~/tiny", "tiny"),
        ("folder/inner", "inner"),  # which is there
        ("folder", "folder"),
        (".", "cwd"),
        ("google/gemma-2-9b-it", "google/gemma-2-9b-it"),
        ("testbed:gemma2", "testbed:gemma2"),
        ("smollm2", "smollm2"),
        ("", ""),
    ],
)
def test_a_record_keeps_no_folder_that_a_model_lies_in(
    name: str, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cwd" / "folder" / "inner").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "cwd")
    here = world()
    assert recorded_name(name) == kept
    assert describe(here.model, name)["id"] == kept
    here.model.config._name_or_path = name
    assert name_of(here.model) == kept


def known_of(here: World, **more: object) -> Artifact:
    """An artifact whose record says all of its model."""
    saved = artifact()
    saved.record["model"] |= {**describe(here.model, "tiny"), **model_digests(here.model), **more}
    saved.record["versions"] = versions()
    return saved


def changed(model: nn.Module) -> nn.Module:
    """One weight is another."""
    with torch.no_grad():
        model.model.layers[2].mlp.down_proj.weight[0, 7] += 1e-3  # type: ignore[index,union-attr]
    return model


def test_other_weights_under_the_same_name_are_an_error_unless_allowed(tmp_path: Path) -> None:
    here = world()
    saved = known_of(here)
    assert saved.check_model(here.model, name="tiny") == ()
    changed(here.model)
    with pytest.raises(ArtifactError, match=r"the weights of tiny are not those .* allow others with --other-weights"):
        saved.check_model(here.model, name="tiny")
    with pytest.raises(ArtifactError, match="the weights of this model"), Steering(saved)(here.model):
        pass
    folder = saved.save_pretrained(tmp_path / "a")
    allowed = Artifact.from_pretrained(folder, other_weights=True)
    for one in (allowed, allowed.with_m(2.0), with_max_length(allowed, 40)):
        (note,) = one.check_model(here.model, name="tiny")
        assert note.startswith("its weights are not those that the artifact was trained with (digest ")
    assert allowed.digest() == saved.digest(), "what is allowed is the reader's, not the file's"
    with Steering.from_pretrained(folder, other_weights=True)(here.model):
        pass
    assert saved.check_model(here.model, name="other") == ("id was tiny, is other",), "which says it all"


@pytest.mark.parametrize(
    ("was", "said"),
    [
        ({"dtype": "bfloat16"}, "dtype was bfloat16, is float64"),
        ({"quantization": "bitsandbytes"}, "quantization was bitsandbytes, is none"),
        ({"adapters": ["lora default abc"]}, "adapters was lora default abc, is none"),
        ({"revision": "abc"}, "revision was abc, is def"),
    ],
)
def test_what_explains_other_weights_is_said_instead(was: dict[str, object], said: str) -> None:
    here = world()
    here.model.config._commit_hash = "def"
    saved = known_of(here, **was)
    assert saved.check_model(changed(here.model), name="tiny") == (said,)


def test_another_release_of_transformers_makes_it_a_note() -> None:
    """It may lay weights out anew, so a digest tells less."""
    here = world()
    saved = known_of(here)
    saved.record["versions"] = {**versions(), "transformers": "4.0.0", "torch": "1.0.0+cpu"}
    assert saved.check_model(here.model, name="tiny") == (RELEASES,)
    weights, releases = saved.check_model(changed(here.model), name="tiny")
    assert weights.startswith("its weights are not those")
    assert releases == RELEASES
    saved.record["versions"] |= {"transformers": versions()["transformers"], "torch": versions()["torch"] + "+other"}
    assert known_of(here).check_model(here.model, name="tiny") == (), "control: a build is no release"


RELEASES = (
    f"transformers was 4.0.0, is {versions()['transformers']}; torch was 1.0.0, is {versions()['torch'].split('+')[0]}"
)


@pytest.mark.parametrize("how", ["offloaded", "before", "quantised alike", "adapters not known"])
def test_weights_that_are_not_known_are_no_difference(how: str) -> None:
    here = world()
    saved = known_of(here)
    if how == "offloaded":
        here.model.model.layers[0].to("meta")
    elif how == "before":
        del saved.record["model"]["weights"]
    elif how == "adapters not known":
        del saved.record["model"]["adapters"]
    else:
        here.model.config.quantization_config = {"quant_method": "awq"}
        saved.record["model"]["quantization"] = "awq"
    notes = saved.check_model(here.model if how == "offloaded" else changed(here.model), name="tiny")
    assert [note[:20] for note in notes if "config.json" not in note] == (
        [] if how in ("offloaded", "before") else ["its weights are not "]
    )


def test_other_settings_under_the_same_name_are_said() -> None:
    here = world()
    saved = known_of(here)
    here.model.config.rms_norm_eps = 1e-3
    (note,) = saved.check_model(here.model, name="tiny")
    assert note.startswith("its settings (config.json) are not those")


def test_a_loop_hears_of_a_difference_once(caplog: pytest.LogCaptureFixture) -> None:
    here = world()
    saved = Steering(known_of(here, dtype="bfloat16"))
    for _ in range(3):
        with saved(here.model):
            pass
    assert caplog.text.count("dtype was bfloat16, is float64") == 1
