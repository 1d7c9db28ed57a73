"""DiffMean is the difference of mean activations, read where its vector is added."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from easyedit_split.training.loop import train_intervention
from easyedit_split.training.objectives.diff_mean import DiffMean, DiffMeanConfig
from easyedit_split.types import ConfigError, Pair

from ..small import PAIRS, World, parameters, run_config, world

SWAPPED = tuple(Pair(pair.prompt, pair.negative, pair.positive) for pair in PAIRS)


# --- DiffMean --------------------------------------------------------------------------------------------------------


def diff_mean(here: World, **settings: Any) -> Tensor:
    """v at block 1."""
    intervention, _ = train_intervention(
        here.model, here.template, here.rows, run_config(objective="diff_mean", **settings)
    )
    return parameters(intervention)[0]


def mean_states(here: World, block: int, side: str) -> Tensor:
    """Mean over the answer's tokens of the block's output as transformers reports it, ``[n d]``."""
    means = []
    for row in here.rows:
        with torch.no_grad():
            states = here.model(torch.tensor([row.prompt + getattr(row, side)]), output_hidden_states=True)
        means.append(states.hidden_states[block + 1][0, len(row.prompt) :].mean(0))
    return torch.stack(means)


@pytest.mark.parametrize("family", ["qwen2", "gemma2", "llama"])
def test_diff_mean_is_the_difference_of_mean_hidden_states(family: str) -> None:
    here = world(family)
    intervention, history = train_intervention(
        here.model, here.template, here.rows, run_config(objective="diff_mean", layers=(0, 1))
    )
    for block in (0, 1):
        positive, negative = (mean_states(here, block, side) for side in ("positive", "negative"))
        v = (positive.mean(0) - negative.mean(0)).float()
        assert torch.equal(parameters(intervention)[block], v) or torch.allclose(
            parameters(intervention)[block], v, rtol=1e-6, atol=1e-7
        )
        assert v.norm() > 0.1
    assert history == ()


def mean_output(here: World, module: torch.nn.Module, side: str) -> Tensor:
    """Mean over pairs of the mean over the answer's tokens of a module's output, ``[d]``."""
    means: list[Tensor] = []
    for row in here.rows:
        start = len(row.prompt)
        handle = module.register_forward_hook(lambda _, args, h, start=start: means.append(h[0, start:].mean(0)))
        with torch.no_grad():
            here.model(torch.tensor([row.prompt + getattr(row, side)]))
        handle.remove()
    return torch.stack(means).mean(0)


@pytest.mark.parametrize("family", ["qwen2", "gemma2", "llama"])
def test_diff_mean_reads_what_its_vector_is_added_to(family: str) -> None:
    here = world(family)
    at_block = diff_mean(here, site="mlp.down_proj", placement="block_output")
    at_map = diff_mean(here, site="mlp.down_proj", placement="site")
    assert torch.equal(at_block, diff_mean(here, site="residual"))
    assert not torch.allclose(at_map, at_block, rtol=0.1)
    block = here.model.model.layers[1]
    for v, module in ((at_block, block), (at_map, block.mlp.down_proj)):
        wanted = mean_output(here, module, "positive") - mean_output(here, module, "negative")
        torch.testing.assert_close(v, wanted.float(), rtol=1e-5, atol=1e-6)


def test_diff_mean_of_swapped_answers_points_the_other_way() -> None:
    forth, back = (diff_mean(world(pairs=pairs)) for pairs in (PAIRS, SWAPPED))
    assert torch.equal(back, -forth)
    assert forth.norm() > 0.1


def test_diff_mean_at_m_1_moves_one_mean_to_the_other() -> None:
    positive, negative = torch.randn(2, 5, 8, dtype=torch.float64).unbind(0)
    v = DiffMean(DiffMeanConfig()).fit(positive, negative)
    torch.testing.assert_close((negative + v).mean(0), positive.mean(0), rtol=0, atol=1e-14)


def test_diff_mean_of_activations_that_overflow_is_an_error() -> None:
    here = world()
    with torch.no_grad():
        here.model.model.embed_tokens.weight[here.rows[2].negative[0]] = torch.inf
    with pytest.raises(ConfigError, match=r"row \d at 1.residual are not finite"):
        train_intervention(here.model, here.template, here.rows, run_config(objective="diff_mean"))
