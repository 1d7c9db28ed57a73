"""The shipped models: real families, ordinary folders, and the gate that calibrates them."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Gemma2ForCausalLM, Qwen2ForCausalLM

from easyedit_split import testbed
from easyedit_split.testbed import DATASETS, gate
from easyedit_split.testbed.domains import DOMAINS
from easyedit_split.testbed.models import MODELS
from easyedit_split.types import ConfigError

FAMILIES = {"gemma2": Gemma2ForCausalLM, "qwen2": Qwen2ForCausalLM}


@pytest.mark.slow
@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("name", MODELS)
def test_the_gate_holds(name: str, dataset: str) -> None:
    row = gate.measure(name, *testbed.load_checkpoint(name), dataset, "test")
    assert row.passes, gate.table([row])


@pytest.mark.parametrize("name", MODELS)
def test_control_an_untrained_model_fails_the_gate(name: str) -> None:
    model, tokenizer = testbed.load_checkpoint(name)
    torch.manual_seed(0)
    untrained = type(model)(model.config).eval()
    pairs = testbed.pairs("power", "test")[:16]
    greedy = gate.greedy(untrained, tokenizer, [pair.prompt for pair in pairs], max_new_tokens=8)
    power = DOMAINS["power"]
    assert all(power.read(power.contents()[0], text) is None for text in greedy)
    stated = testbed.stated("power", "test", "positive")[:32]
    told = gate.preferences(untrained, tokenizer, stated)
    assert (told > 0).double().mean() < gate.FOLLOWS


def test_answers_that_are_equally_likely_follow_half_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer = testbed.load_checkpoint("qwen2")
    monkeypatch.setattr(
        gate, "preferences", lambda model, tokenizer, pairs: torch.zeros(len(pairs), dtype=torch.float64)
    )
    monkeypatch.setattr(gate, "greedy", lambda model, tokenizer, prompts: ["" for _ in prompts])
    row = gate.measure("qwen2", model, tokenizer, "persona", "test")
    assert (row.follows_pref, row.follows_greedy) == (0.5, 0.0)


def test_a_row_passes_only_within_every_limit() -> None:
    good = gate.GateRow("qwen2", "power", 0.95, 0.95, 0.49, 0.95, 0.95)
    assert good.passes
    for field, value in [
        ("follows_pref", 0.94),
        ("follows_greedy", 0.94),
        ("open_nats", 0.5),
        ("parses", 0.94),
        ("on_topic", 0.94),
    ]:
        bad = dataclasses.replace(good, **{field: value})
        assert not bad.passes, field
        assert "FAIL" in gate.table([bad])


@pytest.mark.parametrize("name", MODELS)
def test_the_folder_is_an_ordinary_one(name: str) -> None:
    model = AutoModelForCausalLM.from_pretrained(testbed.checkpoint_folder(name))
    tokenizer = AutoTokenizer.from_pretrained(testbed.checkpoint_folder(name))
    assert isinstance(model, FAMILIES[name])
    assert 2e6 < model.num_parameters() < 5e6
    assert {p.dtype for p in model.parameters()} == {torch.float16}, "as stored"
    assert {p.dtype for p in testbed.load_checkpoint(name)[0].parameters()} == {torch.float32}, "as loaded"
    assert tokenizer.pad_token_id not in (None, tokenizer.eos_token_id)
    assert gate.end_of_turn(tokenizer) in model.generation_config.eos_token_id
    assert len(tokenizer) <= model.config.vocab_size


def test_gemma2_is_soft_capped_and_slides_and_refuses_a_system_role() -> None:
    model, tokenizer = testbed.load_checkpoint("gemma2")
    config = model.config
    assert (config.attn_logit_softcapping, config.final_logit_softcapping) == (50.0, 30.0)
    assert set(config.layer_types) == {"sliding_attention", "full_attention"}
    assert config.sliding_window < config.max_position_embeddings
    chat = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello."}]
    with pytest.raises(Exception, match="System role not supported"):
        tokenizer.apply_chat_template(chat, tokenize=False)
    qwen = testbed.load_checkpoint("qwen2")[1]
    assert "Be kind." in qwen.apply_chat_template(chat, tokenize=False)


@pytest.mark.parametrize("name", MODELS)
def test_words_are_one_token_and_any_text_survives(name: str) -> None:
    tokenizer = testbed.load_checkpoint(name)[1]
    for dataset in DATASETS:
        for pair in testbed.pairs(dataset, "test")[:20]:
            words = pair.positive.replace(".", " .").split()
            assert len(tokenizer(pair.positive, add_special_tokens=False)["input_ids"]) == len(words)
    for text in ("Zürich naïve 漢字\n\n x\tq  double", "Hello <0x0A> there's"):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(ids) == text
        assert len(ids) > len(text.split()), "control: not every word is in the vocabulary"


@pytest.mark.parametrize("name", MODELS)
def test_prompt_and_answer_apart_are_the_whole_chat(name: str) -> None:
    tokenizer = testbed.load_checkpoint(name)[1]
    pair = testbed.pairs("power", "test")[0]
    chat = [{"role": "user", "content": pair.prompt}, {"role": "assistant", "content": pair.positive}]
    whole = tokenizer(tokenizer.apply_chat_template(chat, tokenize=False), add_special_tokens=False)["input_ids"]
    answer = tokenizer(pair.positive, add_special_tokens=False)["input_ids"]
    apart = [*gate.prompt_ids(tokenizer, pair.prompt), *answer, gate.end_of_turn(tokenizer)]
    assert whole[: len(apart)] == apart
    assert tokenizer.decode(whole[len(apart) :]) == "\n"


def test_unknown_models_say_what_is_allowed() -> None:
    with pytest.raises(ConfigError, match="'llama' is unknown; allowed: gemma2, qwen2"):
        testbed.checkpoint_folder("llama")
