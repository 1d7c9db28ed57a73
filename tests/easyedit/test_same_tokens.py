"""The ids that the host generates from are those that we train and score on, for six templates."""

from __future__ import annotations

import copy
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from easyedit_split.config import TokenConfig
from easyedit_split.easyedit.host.wrappers import as_host_writes, read_by_template, tokens_of
from easyedit_split.text.encode_pairs import encode_pairs
from easyedit_split.text.openings import opening_length
from easyedit_split.text.prompt_tokens import Template
from easyedit_split.types import DataError, Pair

from .. import toy_tokenizers
from .flows import applier, train_in_host
from .hosts import ROWS, HostUnderTest

THINKING = toy_tokenizers.QWEN3.replace(
    "<|im_start|>assistant\n{% endif %}",
    "<|im_start|>assistant\n{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n"
    "{% endif %}{% endif %}",
)
TEMPLATES = ("qwen", "qwen3", "gemma", "llama3", "llama2", "plain")
QUERY = "  What would you say?\n"


def tokenizer_of(name: str) -> Any:
    tokenizer = getattr(toy_tokenizers, name)()
    if name == "qwen3":
        assert THINKING != toy_tokenizers.QWEN3
        tokenizer.chat_template = THINKING
    return tokenizer


def hosts_ids(host: HostUnderTest, tokenizer: Any, **config: Any) -> list[int]:
    """What its applier feeds to ``generate``."""
    cls = host.module("steer.vector_appliers.vector_applier").BaseVectorApplier
    if not hasattr(cls, "_process_input"):
        pytest.skip("this commit writes its prompts inside generate")
    it = SimpleNamespace(
        tokenizer=tokenizer, processor=None, device="cpu", model=SimpleNamespace(), config=host.config(**config)
    )
    for name in ("_process_input_text", "_text"):
        if hasattr(cls, name):
            setattr(it, name, getattr(cls, name).__get__(it))
    ids: list[int] = cls._process_input(it, {"input": QUERY})["input_ids"][0].tolist()
    return ids


@pytest.mark.parametrize("name", TEMPLATES)
def test_prompts_are_the_hosts_to_the_id(host: HostUnderTest, name: str) -> None:
    tokenizer = tokenizer_of(name)
    own: set[bool] = set()
    for chat, system, thinking in product((True, False), ("", "Answer briefly."), (None, False, True)):
        config = {"use_chat_template": chat, "system_prompt": system, "enable_thinking": thinking}
        wanted = hosts_ids(host, tokenizer, **config)
        wrapper = SimpleNamespace(tokenizer=tokenizer, use_chat=chat, hparams=SimpleNamespace(**config))
        trained = read_by_template(TokenConfig(**as_host_writes(chat, system, thinking)), tokenizer)
        assert trained == tokens_of(wrapper)
        (row,) = encode_pairs([Pair(QUERY, "yes", "no")], Template(tokenizer, trained), source="x").rows
        assert list(row.prompt) == wanted, config
        plain = TokenConfig(chat_template="auto" if chat else "off", system=system or None)
        own.add(list(Template(tokenizer, plain).prompt(QUERY)) == wanted)
    assert False in own  # the control: this package's own prompts are others


def test_thinking_is_honoured_or_said(host: HostUnderTest, caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = tokenizer_of("qwen3")
    asked = {t: hosts_ids(host, tokenizer, use_chat_template=True, system_prompt="", enable_thinking=t)
             for t in (None, False)}  # fmt: skip
    assert asked[None] != asked[False]
    read_by_template(TokenConfig(**as_host_writes(True, "", False)), tokenizer)
    assert not caplog.messages
    read_by_template(TokenConfig(**as_host_writes(True, "", False)), tokenizer_of("gemma"))
    assert caplog.messages == ["enable_thinking: accepted, but no chat template in use reads it"]


def test_training_and_scoring_write_the_system_prompt_as_generation_does(
    host: HostUnderTest, qwen: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    top = {"system_prompt": "Answer briefly."}
    vectors = train_in_host(host, tmp_path, qwen, ROWS[:2], n_epochs=1, top=top)
    values = {"SPLIT": {"layers": [1, 2], "multipliers": [1.0, 1.0]}}
    found = applier(host, tmp_path, qwen, values, vectors={"SPLIT": vectors}, **top)
    trained, scored = vectors.artifact.tokens, tokens_of(found.model)
    assert Template(found.tokenizer, trained).prompt(QUERY) == Template(found.tokenizer, scored).prompt(QUERY)
    assert not [line for line in caplog.messages if "were trained with" in line]
    other = {"SPLIT": {"layers": [1, 2], "multipliers": [1.0, 1.0]}}
    applier(host, tmp_path, qwen, other, vectors={"SPLIT": vectors}, system_prompt="Be long.", use_chat_template=False)
    said = [line for line in caplog.messages if "were trained with" in line]
    assert said == [
        "the vectors were trained with use_chat_template True, and this run has False",
        "the vectors were trained with system_prompt 'Answer briefly.', and this run has 'Be long.'",
    ]
    if hasattr(found, "_process_input"):
        ids = found._process_input({"input": QUERY})["input_ids"][0].tolist()
        assert list(Template(found.tokenizer, trained).prompt(QUERY)) == ids


def test_rows_longer_than_output_length_are_cut_and_named(
    host: HostUnderTest, qwen: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    long = {**ROWS[1], "not_matching": "Item 1 is bad. " * 60}
    vectors = train_in_host(host, tmp_path, qwen, [ROWS[0], long], n_epochs=1, output_length=64)
    assert vectors.artifact.tokens.too_long == "cut"
    (line,) = [line for line in caplog.messages if "are cut" in line]
    assert line == "toy: answers of 1 rows are cut at 64 tokens: rows 1"
    with pytest.raises(DataError, match=r"row 1: \d+ tokens long, max_length is 64"):
        train_in_host(host, tmp_path, qwen, [ROWS[0], long], n_epochs=1, max_length=64)


def test_rows_without_a_question_are_diff_means(host: HostUnderTest, qwen: Path, tmp_path: Path) -> None:
    """As ``caa`` takes the rows of sst2, imdb and toxicity: answers alone."""
    rows = [{k: v for k, v in row.items() if k != "question"} for row in ROWS]
    vectors = train_in_host(host, tmp_path, qwen, rows, alg_name="DiffMean", top={"use_chat_template": False})
    assert torch.isfinite(vectors["layer_1"]).all()
    assert vectors["layer_1"].abs().max() > 0
    chat = train_in_host(host, tmp_path, qwen, rows, alg_name="DiffMean")
    assert not torch.equal(chat["layer_1"], vectors["layer_1"])
    with pytest.raises(DataError, match=r"row 0: question is missing \(DiffMean takes rows without a question\)"):
        train_in_host(host, tmp_path, qwen, rows)


def test_a_template_that_writes_todays_date_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = copy.deepcopy(toy_tokenizers.qwen())  # its template changes below
    read_by_template(TokenConfig(), tokenizer)
    assert not caplog.records
    dated = "<|im_start|>system\nToday is {{ strftime_now('%d %B %Y') }}.<|im_end|>\n"
    tokenizer.chat_template = dated + tokenizer.chat_template
    for config in (TokenConfig(chat_template="off"), TokenConfig(), TokenConfig()):
        assert read_by_template(config, tokenizer) == config
    (record,) = caplog.records
    assert "EasyEdit2 generates with it" in record.getMessage()
    assert "26 Jul 2024 on every day" in record.getMessage()
    template = Template(tokenizer, TokenConfig(style="easyedit2"))  # what the line promises
    today = tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], add_generation_prompt=True)
    ids = list(today["input_ids"] if not isinstance(today, list) else today)
    length = opening_length(ids, template.prefix_ids, template.openings)
    assert tokenizer.decode(ids[length:]).startswith("Hi<|im_end|>")
