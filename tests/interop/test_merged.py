"""A merged checkpoint loads with plain ``from_pretrained`` and computes what the attached model computes."""

from __future__ import annotations

import dataclasses
import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from easyedit_split.interop.exporting import export_artifact
from easyedit_split.model.load_options import LoadOptions
from easyedit_split.steering.artifact import Artifact
from easyedit_split.types import ConfigError

from ..small import World
from ..tiny import exact_norms
from .peers import M, artifact, exact_world, far, logits, out, refused, steered


def plain(folder: Path, dtype: torch.dtype = torch.float64) -> Any:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="exact").eval()
    exact_norms(model)
    return model


def as_loaded(family: str, tmp_path: Path) -> World:
    """A world whose model comes from a file too: Gemma-2's factor of the embeddings keeps the dtype it is made in."""
    here = exact_world(family)
    here.model.save_pretrained(tmp_path / "bare")
    return dataclasses.replace(here, model=plain(tmp_path / "bare"))


@pytest.mark.parametrize("family", ["llama", "qwen2", "gemma2"])
@pytest.mark.parametrize("site", ["mlp.down_proj", "attn.q_proj"])
def test_a_lora_is_merged_anywhere(family: str, site: str, tmp_path: Path) -> None:
    here = exact_world(family)
    here.model.save_pretrained(
        tmp_path / "bare"
    )  # loaded anew: Gemma-2's factor of the embeddings keeps its first dtype
    here = dataclasses.replace(here, model=plain(tmp_path / "bare"))
    held = artifact(here, layers=(0, 2), site=site)
    before = {name: tensor.clone() for name, tensor in here.model.state_dict().items()}
    done = out(here, held, "merged", tmp_path / "model")
    assert "rounding to float64" in done.notes[0]
    assert far(logits(plain(tmp_path / "model")), steered(here, held)) < 1e-9
    assert far(logits(here.model), steered(here, held)) > 1e-3
    assert all(torch.equal(tensor, before[name]) for name, tensor in here.model.state_dict().items())


def test_the_tokenizer_and_its_template_come_along_and_shards_are_small(tmp_path: Path) -> None:
    here = exact_world()
    held = artifact(here)
    out(here, held, "merged", tmp_path / "model", shard_size="100KB")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert tokenizer.chat_template == here.tokenizer.chat_template
    assert tokenizer("Yes, I would").input_ids == here.tokenizer("Yes, I would").input_ids
    assert len(list((tmp_path / "model").glob("model-*.safetensors"))) > 1
    assert far(logits(plain(tmp_path / "model")), steered(here, held)) < 1e-9


def test_a_bias_that_is_there_takes_db(tmp_path: Path) -> None:
    here = exact_world("qwen2")
    held = artifact(here, "local_weight", site="attn.q_proj")
    out(here, held, "merged", tmp_path / "model", m=(1.5, -0.5))
    assert far(logits(plain(tmp_path / "model")), steered(here, held, (1.5, -0.5))) < 1e-9
    assert far(logits(plain(tmp_path / "model")), steered(here, held, 1.5)) > 1e-3


@pytest.mark.parametrize("form", ["local_weight", "vector"])
def test_a_bias_that_is_not_there_is_refused_or_switched_on(form: str, tmp_path: Path) -> None:
    here, place = exact_world("llama"), tmp_path / "model"
    held = artifact(here, form)
    with refused(place, "1.mlp.down_proj of llama has no bias", "--add-bias", "mlp_bias", of=ConfigError):
        out(here, held, "merged", place)
    done = out(here, held, "merged", place, m=(1.5, -0.5), add_bias=True)
    assert any("mlp_bias is on" in note for note in done.notes)
    assert far(logits(plain(place)), steered(here, held, (1.5, -0.5))) < 1e-9


@pytest.mark.parametrize("family", ["qwen2", "gemma2"])
def test_an_architecture_without_such_a_bias_is_refused(family: str, tmp_path: Path) -> None:
    here = as_loaded(family, tmp_path)
    with refused(tmp_path / "x", f"{family} has no bias", "--form lora", of=ConfigError):
        out(here, artifact(here, "local_weight"), "merged", tmp_path / "x", add_bias=True)
    held = artifact(here, "local_weight", form_config={"bias": False})
    out(here, held, "merged", tmp_path / "x")
    assert far(logits(plain(tmp_path / "x")), steered(here, held)) < 1e-9


def test_tokens_that_are_spared_cannot_be_merged(tmp_path: Path) -> None:
    here = exact_world()
    spared = Artifact({"default": artifact(here, positions="answer").only()})
    with refused(tmp_path / "x", "positions answer", "--positions all", of=ConfigError):
        out(here, spared, "merged", tmp_path / "x")
    done = out(here, spared, "merged", tmp_path / "x", positions="all")
    assert "nats per token on 8 neutral prompts" in done.notes[0]
    assert far(logits(plain(tmp_path / "x")), steered(here, artifact(here))) < 1e-9


def test_a_change_of_the_blocks_output_is_merged_where_that_is_the_same(tmp_path: Path) -> None:
    here, gemma = exact_world(), exact_world("gemma2")
    held = artifact(here, placement="block_output")
    assert "measured" in out(here, held, "merged", tmp_path / "model").notes[0]
    assert far(logits(plain(tmp_path / "model")), steered(here, held)) < 1e-9
    with refused(tmp_path / "x", "train it again with --placement site", "measured", of=ConfigError):
        out(gemma, artifact(gemma, placement="block_output"), "merged", tmp_path / "x")
    with refused(tmp_path / "x", "--set site=mlp.down_proj --placement site", of=ConfigError):
        out(gemma, artifact(gemma, "vector"), "merged", tmp_path / "x")


def test_what_rounding_to_half_precision_costs_is_said(tmp_path: Path) -> None:
    here = exact_world()
    held = artifact(here)
    done = out(here, held, "merged", tmp_path / "model", dtype="bfloat16")
    assert any("rounding to bfloat16" in note for note in done.notes)
    (kl,) = (float(note.split("KL ")[1].split()[0]) for note in done.notes if "KL" in note)
    assert 0 < kl < 0.1
    assert plain(tmp_path / "model", torch.bfloat16).dtype == torch.bfloat16
    with refused(tmp_path / "x", "exceeds torch.float16", of=ConfigError):
        out(here, held, "merged", tmp_path / "x", m=1e7, dtype="float16")


def adapted(here: World, *maps: str) -> World:
    settings = LoraConfig(r=2, target_modules=list(maps), init_lora_weights=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of PEFT's own use of transformers
        return dataclasses.replace(here, model=get_peft_model(here.model, settings).get_base_model())


@pytest.mark.parametrize("maps", [("q_proj",), ("down_proj", "q_proj")])
def test_a_model_with_an_adapter_is_no_plain_checkpoint(maps: tuple[str, ...], tmp_path: Path) -> None:
    here = adapted(exact_world(), *maps)
    held = artifact(here)
    with refused(tmp_path / "model", "carries an adapter (lora default", "merge_and_unload", of=ConfigError):
        out(here, held, "merged", tmp_path / "model")
    done = out(here, held, "peft", tmp_path / "adapter")
    assert [note for note in done.notes if "carries an adapter" in note and "load both" in note]
    record = json.loads((tmp_path / "adapter" / "easyedit_split_export.json").read_text())
    assert list(done.notes) == record["notes"]
    assert not [note for note in out(exact_world(), held, "peft", tmp_path / "bare").notes if "adapter (" in note]


def test_a_quantised_model_is_no_plain_checkpoint(tmp_path: Path) -> None:
    here = exact_world()
    held = artifact(here)
    here.model.config.quantization_config = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    with refused(tmp_path / "model", "the model is quantised (bitsandbytes load_in_4bit", "--quantize", of=ConfigError):
        out(here, held, "merged", tmp_path / "model")


def test_the_recorded_model_is_loaded_at_its_recorded_revision(tmp_path: Path, monkeypatch: Any) -> None:
    here, asked = exact_world(), []

    def load(name: str, **settings: Any) -> Any:
        asked.append((name, settings["revision"]))
        return here.model, here.tokenizer

    monkeypatch.setattr("easyedit_split.interop.base.load_model", load)
    held = Artifact({"default": artifact(here).only()}, record={"model": {"id": "org/model", "revision": "abc"}})
    for number, (model, loading) in enumerate(
        [(None, None), (None, LoadOptions(revision="def")), (None, LoadOptions(dtype="float64")), ("org/other", None)]
    ):
        export_artifact(held, "peft", tmp_path / str(number), m=M, model=model, loading=loading)
    assert asked == [("org/model", "abc"), ("org/model", "def"), ("org/model", "abc"), ("org/other", None)]
    with refused(tmp_path / "x", "a model itself is given: leave it out", of=ConfigError):
        out(here, held, "peft", tmp_path / "x", loading=LoadOptions(dtype="float64"))
