"""What people do with a transformers model, they do with a steered one: pipelines, streamers, settings, device maps."""

from __future__ import annotations

from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, TextIteratorStreamer, pipeline

from easyedit_split.steering.artifact import Artifact
from easyedit_split.steering.steering import Steering

from ..small import World, made, world
from .peers import far, logits

TEXT = "Would you lead?"


@pytest.fixture(scope="module")
def here() -> World:
    found = world("llama", torch.float32)
    found.model.set_attn_implementation("eager")
    found.model.generation_config.pad_token_id = found.tokenizer.pad_token_id or 0
    found.model.generation_config.max_new_tokens = 7
    return found


@pytest.fixture(scope="module")
def steering(here: World) -> Steering:
    return Steering(Artifact({"default": made(here, "vector", scale=1.0, skip_prefix=False)}), 2.0)


def answer(here: World, model: Any = None) -> list[int]:
    """Greedy ids by ``generate``, as the model's own generation settings have it."""
    batch = here.tokenizer(TEXT, return_tensors="pt")
    out = (model or here.model).generate(**batch, do_sample=False)
    return list(out[0, batch["input_ids"].shape[1] :].tolist())


def test_a_pipeline_writes_what_generate_writes(here: World, steering: Steering) -> None:
    write = pipeline("text-generation", model=here.model, tokenizer=here.tokenizer)
    bare = write(TEXT, do_sample=False, return_tensors=True)[0]["generated_token_ids"]
    with steering(here.model):
        steered = write(TEXT, do_sample=False, return_tensors=True)[0]["generated_token_ids"]
        wanted = answer(here)
        batch = write([TEXT, TEXT], do_sample=False, return_tensors=True, batch_size=2)
    assert steered[-len(wanted) :] == wanted
    assert [row[0]["generated_token_ids"] for row in batch] == [steered, steered]
    assert steered != bare
    assert write(TEXT, do_sample=False, return_tensors=True)[0]["generated_token_ids"] == bare


def test_a_streamer_gives_the_steered_text_from_another_thread(here: World, steering: Steering) -> None:
    batch = here.tokenizer(TEXT, return_tensors="pt")
    streamer = TextIteratorStreamer(here.tokenizer, skip_prompt=True, timeout=60)
    with steering(here.model):
        settings = {**batch, "do_sample": False, "streamer": streamer}
        thread = Thread(target=here.model.generate, kwargs=settings)
        thread.start()
        streamed = "".join(streamer)
        thread.join()
        wanted = answer(here)
    assert streamed == here.tokenizer.decode(wanted)
    assert streamed != here.tokenizer.decode(answer(here))


def test_the_models_generation_settings_hold(here: World, steering: Steering, monkeypatch: pytest.MonkeyPatch) -> None:
    with steering(here.model):
        assert len(answer(here)) <= 7
        monkeypatch.setattr(here.model.generation_config, "max_new_tokens", 3)
        assert len(answer(here)) <= 3


@pytest.mark.parametrize("device_map", ["cpu", "auto", {"": "cpu"}])
def test_a_device_map_changes_nothing(here: World, steering: Steering, device_map: Any, tmp_path: Path) -> None:
    here.model.save_pretrained(tmp_path)
    mapped = AutoModelForCausalLM.from_pretrained(tmp_path, device_map=device_map, attn_implementation="eager").eval()
    with steering(here.model), steering(mapped):
        assert far(logits(mapped), logits(here.model)) == 0
        steered = logits(mapped)
    assert far(steered, logits(mapped)) > 1e-3


def test_blocks_on_disk_are_steered_too(here: World, steering: Steering, tmp_path: Path) -> None:
    """accelerate's hooks fetch a block's weights when it runs; steering acts on its output."""
    here.model.save_pretrained(tmp_path / "model")
    places: dict[str, Any] = {
        "model.embed_tokens": "cpu",
        "model.norm": "cpu",
        "model.rotary_emb": "cpu",
        "lm_head": "cpu",
    }
    places |= {"model.layers.0": "cpu", "model.layers.1": "disk", "model.layers.2": "disk"}
    mapped = AutoModelForCausalLM.from_pretrained(
        tmp_path / "model", device_map=places, offload_folder=tmp_path / "off", attn_implementation="eager"
    ).eval()
    with steering(here.model), steering(mapped):
        assert far(logits(mapped), logits(here.model)) == 0
        steered = logits(mapped)
    assert far(steered, logits(mapped)) > 1e-3
