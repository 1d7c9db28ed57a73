"""Lower blocks that leave the device once their states are cached: the same bits, and all back afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from easyedit_split.model.hooks import frozen
from easyedit_split.model.sites import blocks_of
from easyedit_split.scoring.engine.budget import MemoryBudget
from easyedit_split.scoring.engine.config import EngineConfig
from easyedit_split.scoring.engine.engine import Engine
from easyedit_split.scoring.engine.release import lower_blocks_released
from easyedit_split.scoring.engine.scorer import PairScorer
from easyedit_split.scoring.engine.texts import read_texts
from easyedit_split.scoring.score import answer_rows
from easyedit_split.training.loop import train_intervention
from easyedit_split.training.together import TrainingCell, train_together

from ..small import equal, run_config, world
from ..steering.test_attach import made
from ..tiny import FAMILIES, tiny_model
from .test_engine import shared_pairs

LEAN = EngineConfig(release=True)
M = [(0.7, 0.7), (0.0, 0.0), (1.0, -0.5)]


def bits(model: Any) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def there(model: Any) -> list[int]:
    """Elements of each block's parameters."""
    return [sum(p.numel() for p in block.parameters()) for block in blocks_of(model)]


def same(a: dict[str, torch.Tensor], model: Any) -> bool:
    return all(torch.equal(value, a[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("form", ["vector", "lora", "local_weight"])
def test_scores_without_the_lower_blocks_are_the_same_bits(family: str, form: str) -> None:
    model, data = tiny_model(family), shared_pairs()
    intervention, before, whole = made(model, form, (1,), placement="site"), bits(model), there(model)
    wanted = PairScorer.ready(model, data, intervention)
    lean = PairScorer.ready(model, data, intervention, LEAN)
    assert wanted is not None
    assert lean is not None
    seen = []
    for a, b in zip(wanted.over(M), lean.over(M), strict=True):
        assert np.array_equal(a.L_p, b.L_p)
        assert np.array_equal(a.L_n, b.L_n)
        seen.append(there(model))
    assert all(now[0] == 0 and now[1] < whole[1] and now[2:] == whole[2:] for now in seen)
    assert same(before, model)


def test_all_are_back_after_an_exception_and_where_the_caller_goes_away() -> None:
    model, data = tiny_model("qwen2"), shared_pairs()
    before, parameters = bits(model), list(model.parameters())
    scorer = PairScorer.ready(model, data, made(model, "vector", (1,)), LEAN)
    assert scorer is not None
    with pytest.raises(ZeroDivisionError), lower_blocks_released(scorer.engine, scorer.prepared) as size:
        assert size > 0
        assert there(model)[0] == 0
        raise ZeroDivisionError
    assert same(before, model)
    scores = scorer.over(M)
    next(scores)
    assert there(model)[0] == 0
    scores.close()
    assert same(before, model)
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))


def test_control_a_call_through_the_blocks_fails_meanwhile() -> None:
    model, data = tiny_model("llama"), shared_pairs()
    scorer = PairScorer.ready(model, data, made(model, "vector", (1,)))
    assert scorer is not None
    with lower_blocks_released(scorer.engine, scorer.prepared), pytest.raises(RuntimeError):
        model(torch.tensor([[1, 2, 3]]))
    model(torch.tensor([[1, 2, 3]]))


def test_nothing_leaves_where_states_are_not_kept() -> None:
    model, data = tiny_model("llama"), shared_pairs()
    with frozen(model), torch.no_grad():
        engine = Engine(model, EngineConfig(budget=MemoryBudget(0, 0)))
        prepared = engine.prepare(read_texts(answer_rows(data)), made(model, "vector", (1,)).config)
        with lower_blocks_released(engine, prepared) as size:
            assert size == 0


def test_what_is_shared_with_a_part_above_stays() -> None:
    model, data = tiny_model("llama"), shared_pairs()
    blocks = blocks_of(model)
    blocks[2].mlp.up_proj.weight = blocks[0].mlp.up_proj.weight
    scorer = PairScorer.ready(model, data, made(model, "vector", (1,)), LEAN)
    assert scorer is not None
    next(iter(scorer.over(M)))
    with lower_blocks_released(scorer.engine, scorer.prepared):
        assert there(model)[0] == blocks[0].mlp.up_proj.weight.numel() > 0


def test_training_alone_and_together() -> None:
    here = world("gemma2", torch.float32)
    before = bits(here.model)
    run = run_config("lora", "split", dropout=0.1)
    wanted, _ = train_intervention(here.model, here.template, here.rows, run)
    during = []
    found, _ = train_intervention(
        here.model, here.template, here.rows, run, engine=LEAN, progress=lambda *_: during.append(there(here.model)[0])
    )
    assert equal(found, wanted)
    assert {*during} == {0}
    cells = [TrainingCell(here.template, here.rows, run), TrainingCell(here.template, here.rows, run_config())]
    result, _ = train_together(here.model, cells, stacked=True, engine=LEAN)
    assert equal(result.intervention, wanted)
    assert same(before, here.model)
