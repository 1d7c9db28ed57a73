"""SPLIT against Eq. 18 to 20, written out by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from easyedit_split.training.objectives.base import AnswerLosses
from easyedit_split.training.objectives.split import Split, SplitConfig
from easyedit_split.types import ConfigError

from .answer_losses import OTHER, OWN, close


def test_split_is_eq_18_to_20() -> None:
    loss = Split(SplitConfig(lambda_p=1.5, lambda_n=0.25, gamma=4.0, theta=0.5)).side_loss(OWN, OTHER)
    # 1.5 * 2 + 0.25 * 2 + 4 * relu(0.5 - (2 - 2)),   1.5 * 1 + 0.25 * 3 + 4 * relu(0.5 - (3 - 1))
    assert close(loss, 3.0 + 0.5 + 2.0, 1.5 + 0.75 + 0.0)


def test_split_on_summed_losses() -> None:
    loss = Split(SplitConfig(length_normalize=False, theta=8.0, gamma=2.0)).side_loss(OWN, OTHER)
    # 6 + 4 / 2 + 2 * (8 - (4 - 6)),   2 + 9 / 2 + 2 * (8 - (9 - 2))
    assert close(loss, 6 + 2 + 20, 2 + 4.5 + 2)


def test_split_the_answers_roles_matter() -> None:
    objective = Split(SplitConfig())
    assert not torch.equal(objective.side_loss(OWN, OTHER), objective.side_loss(OTHER, OWN))


def test_split_hinge_is_flat_beyond_the_margin() -> None:
    def gradients(L_other: float) -> tuple[float, float]:
        L = torch.tensor([1.0, L_other], dtype=torch.float64, requires_grad=True)
        one = torch.ones(1, dtype=torch.long)
        objective = Split(SplitConfig(lambda_p=1.0, lambda_n=0.5, gamma=5.0, theta=0.5))
        objective.side_loss(AnswerLosses(L[:1], one, one), AnswerLosses(L[1:], one, one)).sum().backward()  # type: ignore[no-untyped-call]
        assert L.grad is not None
        return float(L.grad[0]), float(L.grad[1])

    assert gradients(1.6) == (1.0, 0.5)  # preference 0.6 > theta: only utility pulls
    assert gradients(1.4) == (6.0, -4.5)  # the hinge pulls the answers apart


def test_split_compat_takes_losses_of_the_whole_batch() -> None:
    settings: dict[str, Any] = {"lambda_p": 1.0, "lambda_n": 0.5, "gamma": 5.0, "theta": 0.5}
    loss = Split(SplitConfig(**settings, compat="easyedit2")).side_loss(OWN, OTHER)
    own, other = 8 / 5, 13 / 5
    assert close(loss, *[own + other / 2 + 5 * max(0, 0.5 - (other - own))] * 2)
    assert not close(Split(SplitConfig(**settings)).side_loss(OWN, OTHER), *loss.tolist())


def test_split_same_m_unless_compat() -> None:
    assert Split(SplitConfig()).same_m
    assert not Split(SplitConfig(compat="easyedit2")).same_m


def test_split_needs_a_weight() -> None:
    with pytest.raises(ConfigError, match="nothing to train"):
        SplitConfig(lambda_p=0.0, lambda_n=0.0, gamma=0.0)
    with pytest.raises(ConfigError, match="gamma is -1"):
        SplitConfig(gamma=-1.0)
    assert SplitConfig(lambda_p=0.0, lambda_n=0.0).gamma == 5
