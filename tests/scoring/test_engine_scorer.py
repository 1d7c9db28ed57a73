"""Scores over many m by the engine: order, launches, what is known, fallbacks and why, caches and their keys."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from easyedit_split.model.hooks import frozen
from easyedit_split.model.sites import FAMILIES as REGISTERED
from easyedit_split.model.sites import Family, Site
from easyedit_split.scoring.answer_means import answer_means, plain_answer_means
from easyedit_split.scoring.answer_outputs import answer_outputs
from easyedit_split.scoring.engine import check
from easyedit_split.scoring.engine.anatomy import Anatomy
from easyedit_split.scoring.engine.budget import MemoryBudget, Shelf
from easyedit_split.scoring.engine.config import EngineConfig
from easyedit_split.scoring.engine.engine import Engine
from easyedit_split.scoring.engine.scorer import PairScorer, scores_over_m
from easyedit_split.scoring.engine.texts import read_texts
from easyedit_split.scoring.score import answer_rows, score
from easyedit_split.types import ConfigError

from ..steering.test_attach import made
from ..tiny import FAMILIES, tiny_model
from .test_engine import shared_pairs
from .test_scoring import close, pairs

M = (0.7, 0.0, (1.0, -0.5), -2.0)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("config", [EngineConfig(), EngineConfig(launch_tokens=200), EngineConfig(plain=True)])
def test_scores_come_in_the_order_of_m(family: str, config: EngineConfig) -> None:
    model, data = tiny_model(family), shared_pairs()
    intervention = made(model, "local_weight", (1,))
    for m, found in zip(M, scores_over_m(model, data, intervention, M, config=config), strict=True):
        wanted = score(model, data, intervention, m)
        np.testing.assert_allclose(found.L_p, wanted.L_p, rtol=0, atol=1e-5)
        np.testing.assert_allclose(found.L_n, wanted.L_n, rtol=0, atol=1e-5)
        assert found.T_p.tolist() == wanted.T_p.tolist()


@pytest.mark.parametrize("config", [EngineConfig(), EngineConfig(launch_tokens=400)])
def test_what_is_known_is_left_out_and_changes_no_bit_of_the_rest(config: EngineConfig) -> None:
    model, data = tiny_model("gemma2", torch.float32), shared_pairs()
    intervention = made(model, "lora", (1,))
    whole = list(scores_over_m(model, data, intervention, M, config=config))
    rest = list(scores_over_m(model, data, intervention, M, known={0, 2}, config=config))
    assert len(rest) == 2
    for found, wanted in zip(rest, (whole[1], whole[3]), strict=True):
        assert np.array_equal(found.L_p, wanted.L_p)
        assert np.array_equal(found.L_n, wanted.L_n)


def test_the_bare_model_needs_no_intervention() -> None:
    model, data = tiny_model("qwen2"), shared_pairs()
    (found,) = scores_over_m(model, data, None, [0.0])
    assert close(found, score(model, data))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_precisions_within_the_plain_scorers_own_spread(dtype: torch.dtype) -> None:
    model, data = tiny_model("gemma2", dtype), pairs(6)
    for form in ("vector", "lora", "local_weight"):
        intervention = made(model, form, (1,), placement="block_output")
        (found,) = scores_over_m(model, data, intervention, [1.3])
        wanted = score(model, data, intervention, 1.3)
        np.testing.assert_allclose(found.L_p, wanted.L_p, rtol=0, atol={torch.float32: 2e-4}.get(dtype, 0.2))


# --- fallbacks -----------------------------------------------------------------------------------------------------


def falls_back(model: Any, caplog: pytest.LogCaptureFixture, reason: str, **settings: Any) -> None:
    data = pairs(3)
    intervention = made(model, "vector", (1,))
    wanted = score(model, data, intervention, 0.7)
    caplog.clear()
    (found,) = scores_over_m(model, data, intervention, [0.7], **settings)
    assert close(found, wanted)
    assert [reason in record.message for record in caplog.records] == [True]


def test_another_librarys_hook_on_a_block(caplog: pytest.LogCaptureFixture) -> None:
    model = tiny_model("llama")
    handle = model.model.layers[0].mlp.register_forward_hook(lambda module, args, output: output * 1.01)
    falls_back(model, caplog, "block 0.mlp has a forward hook of other code")
    handle.remove()
    assert PairScorer.ready(model, pairs(3), made(model, "vector", (1,))) is not None


def test_blocks_that_are_no_list(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    assert REGISTERED["llama"].blocks is None
    monkeypatch.setitem(REGISTERED._entries, "llama", Family(("llama",), blocks="model.layers"))  # as foreign code says
    model = tiny_model("llama")
    model.model.layers = nn.Sequential(*model.model.layers)
    falls_back(model, caplog, "the decoder blocks are in a Sequential")


def test_attention_that_takes_no_mask() -> None:
    model = tiny_model("llama")
    model.config._attn_implementation = "flash_attention_2"
    with pytest.raises(Exception, match="accepts no custom mask"):
        Anatomy(model)


def test_a_first_batch_that_differs(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    real = check._plain
    monkeypatch.setattr(check, "_plain", lambda *args: real(*args) + 0.001)
    falls_back(tiny_model("qwen2"), caplog, "on its first texts the losses differ from the reference scorer's by 0.001")


def test_a_head_with_a_scale_of_its_own_makes_its_own_logits() -> None:
    model, data = tiny_model("llama"), shared_pairs()
    head = model.lm_head

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = head.weight

        def forward(self, hidden: torch.Tensor) -> torch.Tensor:
            return 0.3 * head(hidden)

    model.lm_head = Scaled()
    with frozen(model):
        assert Engine(model).head is None
    intervention = made(model, "vector", (1,))
    scorer = PairScorer.ready(model, data, intervention)
    assert scorer is not None
    (found,) = scorer.over([(0.7, 0.7)])
    assert close(found, score(model, data, intervention, 0.7))


def test_a_policy_that_steers_nothing_is_an_error() -> None:
    model, data = tiny_model("llama"), pairs(2)
    short = [type(p)(p.pair, p.prompt, p.positive, p.negative, len(p.prompt), p.index) for p in data]
    intervention = made(model, "vector", (1,), positions="prompt", skip_prefix=True)
    with pytest.raises(ConfigError, match="no token of any row was steered"):
        list(scores_over_m(model, short, intervention, [0.5]))
    (bare,) = scores_over_m(model, short, intervention, [0.0])
    assert close(bare, score(model, short))


# --- what is shared, and when it is made anew ----------------------------------------------------------------------


def states_of(model: Any, data: Any, form: str, **settings: Any) -> Any:
    with frozen(model), torch.no_grad():
        engine = Engine(model)
        return engine.prepare(read_texts(answer_rows(data)), made(model, form, (1,), **settings).config).states


def test_states_are_shared_by_forms_and_positions_and_made_anew_for_other_weights_or_texts() -> None:
    model, data = tiny_model("gemma2"), shared_pairs()
    first = states_of(model, data, "vector")
    assert states_of(model, data, "vector", positions="answer") is first
    assert states_of(model, data[:3], "vector") is not first
    lora = states_of(model, data, "lora", placement="block_output")
    assert states_of(model, data, "local_weight", placement="block_output") is lora
    model.model.layers[2].mlp.up_proj.weight.data[0, 0] += 1e-3  # behind the entry
    assert states_of(model, data, "vector") is first
    model.model.layers[0].mlp.up_proj.weight.data[3].copy_(model.model.layers[0].mlp.up_proj.weight.data[3].flip(0))
    assert states_of(model, data, "vector") is not first  # an edit through .data, of values that were there


def test_a_changed_weight_is_seen_by_the_next_sweep() -> None:
    model, data = tiny_model("llama"), shared_pairs()
    intervention = made(model, "vector", (1,))
    (before,) = scores_over_m(model, data, intervention, [0.7])
    with torch.no_grad():
        model.model.layers[0].mlp.down_proj.weight.mul_(1.1)
    (after,) = scores_over_m(model, data, intervention, [0.7])
    assert close(after, score(model, data, intervention, 0.7))
    assert not close(after, before)


def test_a_model_that_is_let_go_takes_its_states_along() -> None:
    model, data = tiny_model("llama"), shared_pairs()
    list(scores_over_m(model, data, made(model, "vector", (1,)), [0.7]))
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_a_budget_reads_sizes_and_names_what_it_cannot_read() -> None:
    assert MemoryBudget.parse("auto") == MemoryBudget()
    assert MemoryBudget.parse("off") == MemoryBudget(0, 0)
    assert MemoryBudget.parse("2G") == MemoryBudget(2 << 30, 2 << 30)
    assert MemoryBudget.parse("512M, 1.5GB") == MemoryBudget(512 << 20, 3 << 29)
    with pytest.raises(ConfigError, match=r"cache is 'lots': write auto, off"):
        MemoryBudget.parse("lots")


def test_what_was_used_least_goes_when_room_is_wanted() -> None:
    class Block:
        nbytes = 40

    shelf, cpu, budget = Shelf(), torch.device("cpu"), MemoryBudget(0, 100)
    for name in ("a", "b"):
        assert shelf.room(40, cpu, budget) == cpu
        shelf.put(name, Block(), cpu)
    assert shelf.get("a") is not None  # used last
    assert shelf.room(40, cpu, budget) == cpu
    assert shelf.get("b") is None
    assert shelf.get("a") is not None
    assert shelf.room(101, cpu, budget) is None
    assert shelf.get("a") is not None


# --- activations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_means_over_answers_are_the_plain_ones(family: str) -> None:
    model, rows = tiny_model(family), answer_rows(shared_pairs())
    for sites in ([Site(1, "residual")], [Site(0, "residual"), Site(2, "mlp.down_proj")]):
        found, wanted = answer_means(model, 0, rows, sites), plain_answer_means(model, 0, rows, sites)
        for site in sites:
            torch.testing.assert_close(found[site], wanted[site], rtol=0, atol=1e-6)
            assert not torch.allclose(found[site][0], wanted[site][1])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("layers", "block"), [((1,), 1), ((1,), 2), ((0, 1), 1)])
def test_outputs_of_a_steered_model_are_the_plain_ones(
    family: str, layers: tuple[int, ...], block: int, caplog: pytest.LogCaptureFixture
) -> None:
    from easyedit_split.scoring.answer_outputs import _array, _plain

    model, rows = tiny_model(family), answer_rows(shared_pairs())
    intervention = made(model, "lora", layers)
    bare, steered = answer_outputs(model, 0, rows, block, intervention, (0.0, 1.0))
    assert not caplog.records
    for m, outputs in ((0.0, bare), (1.0, steered)):
        for row, found in zip(rows, outputs, strict=True):
            with torch.no_grad():
                np.testing.assert_allclose(found, _array(_plain(model, 0, row, block, intervention, m)), atol=1e-5)
    assert not np.allclose(bare[0], steered[0], atol=1e-3)
