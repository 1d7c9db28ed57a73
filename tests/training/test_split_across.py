"""SPLIT across m is SPLIT and a penalty on lost utility, written out by hand; without either it is SPLIT."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from easyedit_split.log_odds import utility
from easyedit_split.training.objectives.split import Split, SplitConfig
from easyedit_split.training.objectives.split_across import SplitAcross, SplitAcrossConfig
from easyedit_split.types import ConfigError

from ..small import equal, run_config, world
from .answer_losses import OTHER, OWN, answers, close
from .training_runs import trained

WEIGHTS: dict[str, Any] = {"lambda_p": 1.5, "lambda_n": 0.25, "gamma": 4.0, "theta": 0.5}
LIKELIER = answers([5.0, 1.0], [3, 2]), answers([3.0, 8.0], [2, 3])  # both answers of both pairs, by a nat


def penalty(kappa: float = 1.0, bare: Any = LIKELIER, **settings: Any) -> torch.Tensor:
    """What is added to SPLIT's loss."""
    whole = SplitAcross(SplitAcrossConfig(**WEIGHTS, **settings, kappa=kappa)).side_loss(OWN, OTHER, *bare)
    return whole - Split(SplitConfig(**WEIGHTS, **settings)).side_loss(OWN, OTHER)


def test_the_penalty_is_what_the_pairs_probability_has_lost() -> None:
    lost = [
        math.log((math.exp(-a + 1) + math.exp(-b + 1)) / (math.exp(-a) + math.exp(-b))) for a, b in [(6, 4), (2, 9)]
    ]
    torch.testing.assert_close(penalty(), torch.tensor([lost[0] / 3, lost[1] / 2], dtype=torch.float64))
    torch.testing.assert_close(penalty(kappa=3.0), 3 * penalty())
    torch.testing.assert_close(penalty(length_normalize=False), torch.tensor(lost, dtype=torch.float64))


def test_it_is_there_exactly_where_utility_has_fallen() -> None:
    bare = answers([5.9, 1.9], [3, 2]), answers([4.2, 6.0], [2, 3])
    (before, after) = (utility(a.L.numpy(), b.L.numpy()) for a, b in (bare, (OWN, OTHER)))
    assert ((penalty(bare=bare).numpy() > 0) == (before > after)).all()
    assert set((before > after).tolist()) == {True, False}


def test_the_penalty_pulls_only_where_the_pair_is_less_likely_than_before() -> None:
    def gradients(bare: Any) -> torch.Tensor:
        own, other = (answers(a.L.tolist(), a.T.tolist()) for a in (OWN, OTHER))
        for a in (own, other):
            a.L.requires_grad_(True)
        objective = SplitAcross(SplitAcrossConfig(lambda_p=0.0, lambda_n=0.0, gamma=1.0, theta=-100.0, kappa=2.0))
        objective.side_loss(own, other, *bare).sum().backward()  # type: ignore[no-untyped-call]
        return torch.stack([own.L.grad, other.L.grad])  # type: ignore[list-item]

    less_likely = answers([6.0, 3.0], [3, 2]), answers([4.5, 9.0], [2, 3])
    assert torch.equal(gradients(less_likely), torch.zeros(2, 2, dtype=torch.float64))
    assert bool((gradients(LIKELIER) > 0).all())
    made_up_for = answers([9.0, 5.0], [3, 2]), answers([3.999, 8.0], [2, 3])  # one answer lost a little
    assert torch.equal(gradients(made_up_for), torch.zeros(2, 2, dtype=torch.float64))


def test_without_kappa_it_is_split() -> None:
    assert torch.equal(penalty(kappa=0.0), torch.zeros(2, dtype=torch.float64))
    assert close(SplitAcross(SplitAcrossConfig(**WEIGHTS, kappa=0.0)).side_loss(OWN, OTHER, *LIKELIER), 5.5, 2.25)


@pytest.mark.parametrize("form", ["vector", "lora"])
def test_training_without_kappa_and_reach_is_splits_bit_for_bit(form: str) -> None:
    here, settings = world(dtype=torch.float32), {"dropout": 0.1, "steering_factors": (0.5, 1.0, 2.0)}
    split, steps = trained(here, run_config(form, "split", **settings))
    for off, same in (
        ({"kappa": 0.0, "reach": None}, True),
        ({"reach": None}, False),
        ({"kappa": 0.0, "reach": 1e-3}, False),
    ):
        found, history = trained(here, run_config(form, "split_across", objective_config=off, **settings))
        assert equal(split, found) is same
        assert (steps == history) is same


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kappa": -1.0}, "kappa is -1"),
        ({"reach": 0.0}, "reach is 0"),
        ({"gamma": -1.0}, "gamma is -1"),
        ({"compat": "easyedit2"}, "compat is for split"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        SplitAcrossConfig(**settings)
    assert SplitAcrossConfig(reach=None).reach is None
