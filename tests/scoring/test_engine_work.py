"""How much the engine does: FLOPs at the real shapes against the bound, and tokens where texts are shared.

Models stand on the meta device, where torch counts FLOPs without weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma2Config, Qwen2Config

from easyedit_split.model.hooks import frozen
from easyedit_split.scoring.engine.bound import Shape, counted
from easyedit_split.scoring.engine.config import EngineConfig
from easyedit_split.scoring.engine.engine import Engine
from easyedit_split.scoring.engine.packing import Member
from easyedit_split.scoring.engine.texts import read_texts
from easyedit_split.steering.intervention import Intervention
from easyedit_split.text.batching import Row, collate

LENGTHS = ((60, 150), (52, 2), (79, 23))
LAYERS = {"gemma-2-9b": 20, "qwen2.5-7b": 14}


def shape_only(name: str) -> Any:
    """The real model's shape, no weights."""
    config: Any = {
        "gemma-2-9b": Gemma2Config(
            vocab_size=256000, hidden_size=3584, intermediate_size=14336, num_hidden_layers=42,
            num_attention_heads=16, num_key_value_heads=8, head_dim=256,
        ),
        "qwen2.5-7b": Qwen2Config(
            vocab_size=152064, hidden_size=3584, intermediate_size=18944, num_hidden_layers=28,
            num_attention_heads=28, num_key_value_heads=4, tie_word_embeddings=False,
        ),
    }[name]  # fmt: skip
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, attn_implementation="eager").to(torch.bfloat16).eval()


def pair_rows(prompt: int, answer: int) -> list[Row]:
    """One pair that shares nothing but its prompt."""
    ids = tuple(range(10, 10 + prompt))
    return [Row(ids, tuple(range(first, first + answer)), 0) for first in (1000, 2000)]


def flops(model: Any, form: str, layer: int, rows: list[Row]) -> tuple[int, int]:
    """``(sweep point, training step)`` of the engine for one pair."""
    intervention = Intervention.create(model, form, [layer], placement="block_output", skip_prefix=False)
    with frozen(model):
        engine = Engine(model, EngineConfig())
        prepared = engine.prepare(read_texts(rows), intervention.config)
        (launch,) = engine.launches(prepared, [[Member(0), Member(1)]], [((1.0, 1.0),)])

        def score() -> None:
            with torch.no_grad():
                engine.losses(prepared, launch, intervention)

        def step() -> None:
            engine.losses(prepared, launch, intervention).sum().backward()  # type: ignore[no-untyped-call]

        return counted(score), counted(step)


@pytest.mark.parametrize("name", LAYERS)
def test_work_is_the_bound_at_the_real_shapes(name: str) -> None:
    model, layer = shape_only(name), LAYERS[name]
    shape = Shape.of(model)
    cases = [("vector", 0.99, 0.985, *lengths) for lengths in LENGTHS]
    cases += [("lora", 0.99, 0.985, *LENGTHS[0]), ("local_weight", 0.97, 0.97, *LENGTHS[0])]
    for form, sweep, training, prompt, answer in cases:
        scored, trained = flops(model, form, layer, pair_rows(prompt, answer))
        assert shape.sweep_point(layer, prompt, answer) / scored >= sweep, (form, prompt, answer)
        assert shape.training_step(layer, prompt, answer) / trained >= training, (form, prompt, answer)


def test_on_mixed_lengths_padding_and_shared_rows_cost_little() -> None:
    """Pairs of many lengths in large launches, their answers unequal, nothing shared between pairs."""
    model, layer, count = shape_only("qwen2.5-7b"), LAYERS["qwen2.5-7b"], 16
    shape, lengths = Shape.of(model), np.random.default_rng(0).integers((60, 5), (110, 45), (count, 2))
    rows, first = [], 10
    for prompt, answer in lengths.tolist():
        ids = tuple(range(first, first + prompt + 2 * answer))
        first += len(ids)
        rows.append((Row(ids[:prompt], ids[prompt : prompt + answer], 0), Row(ids[:prompt], ids[prompt + answer :], 0)))
    intervention = Intervention.create(model, "vector", [layer], skip_prefix=False)
    with frozen(model):
        engine = Engine(model, EngineConfig(launch_tokens=8192))
        texts = read_texts([row for side in zip(*rows, strict=True) for row in side])
        prepared = engine.prepare(texts, intervention.config)
        units = [[Member(i), Member(count + i)] for i in range(count)]
        launches = engine.launches(prepared, units, [((1.0, 1.0),)])
        assert any(len(launch.rows) > 1 for launch in launches)

        def step() -> None:
            for launch in launches:
                engine.losses(prepared, launch, intervention).sum().backward()  # type: ignore[no-untyped-call]

        trained = counted(step)
        with torch.no_grad():
            scored = counted(lambda: [engine.losses(prepared, launch, intervention) for launch in launches])
    pairs = [(layer, prompt, answer) for prompt, answer in lengths.tolist()]
    assert sum(shape.sweep_point(*pair) for pair in pairs) / scored >= 0.95
    assert sum(shape.training_step(*pair) for pair in pairs) / trained >= 0.9


def test_control_the_plain_scorer_does_twice_the_bound() -> None:
    model = shape_only("gemma-2-9b")
    rows = pair_rows(60, 150)
    with frozen(model), torch.no_grad():
        batch = collate(rows, pad_id=0).to("meta")
        plain = counted(lambda: model(input_ids=batch.input_ids, position_ids=batch.position_ids, logits_to_keep=151))
    assert Shape.of(model).sweep_point(20, 60, 150) / plain < 0.5


def test_the_bound_by_hand() -> None:
    shape = Shape(blocks=4, weights=100, hidden=10, vocabulary=50, kappa=8)
    linear = 2 * 2 * 100 * (3 + 2 * 2) + 4 * 2 * 10 * 50
    keys = 6 + 2 * (3 * 2 + 3)
    assert shape.sweep_point(1, 3, 2) == linear + 2 * 8 * keys
    assert shape.training_step(1, 3, 2) == 2 * linear + 3 * 2 * 8 * keys


def tokens(rows: list[Row], policy: Any, skip_prefix: bool) -> float:
    """Tokens that run per pair and m; the model is a shape."""
    model = shape_only("qwen2.5-7b")
    intervention = Intervention.create(model, "vector", [14], positions=policy, skip_prefix=skip_prefix)
    n = len(rows) // 2
    with frozen(model):
        engine = Engine(model)
        prepared = engine.prepare(read_texts(rows), intervention.config)
        units = [[Member(i), Member(n + i)] for i in range(n)]
        launches = engine.launches(prepared, units, [((1.0, 1.0),)])
    return sum(len(row.node) for launch in launches for row in launch.rows) / n


def test_what_texts_share_and_what_no_strength_changes_runs_once() -> None:
    """Eight pairs: an opening of 20 tokens, a stem of 10 that all prompts share, 5 of their own; answers of 2."""
    opening, stem = tuple(range(1, 21)), tuple(range(30, 40))
    prompts = [(*opening, *stem, *range(100 + 10 * i, 105 + 10 * i)) for i in range(8)]
    rows = [Row(prompt, answer, 20) for answer in ((7, 9), (8, 9)) for prompt in prompts]
    everything = tokens(rows, "all", skip_prefix=False)
    assert everything == (20 + 10 + 8 * (5 + 2)) / 8  # a pair alone: 35 + 2, and the last answer tokens never run
    assert tokens(rows, "all", skip_prefix=True) == (10 + 8 * (5 + 2)) / 8
    assert tokens(rows, "answer", skip_prefix=True) == 1 + 2  # the prompts' last token, and one token of each answer
