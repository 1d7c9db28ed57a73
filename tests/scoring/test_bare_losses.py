"""Likelihoods of answers that share prompts: the engine's equal the reference scorer's and the pairs' scorer's."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from easyedit_split import load_model
from easyedit_split.scoring import bare_losses as module
from easyedit_split.scoring.bare_losses import bare_losses, plain_bare_losses
from easyedit_split.scoring.engine.refusal import EngineRefused
from easyedit_split.text.batching import Row


@pytest.fixture(scope="module")
def double() -> torch.nn.Module:
    model, _ = load_model("testbed:gemma2")
    return model.double()


def rows_of(seed: int = 0) -> list[Row]:
    """Twelve answers after three prompts, in no order, of unlike lengths."""
    rng = np.random.default_rng(seed)
    prompts = [tuple(int(i) for i in rng.integers(5, 60, size)) for size in (4, 9, 6)]
    return [
        Row(prompts[rng.integers(3)], tuple(int(i) for i in rng.integers(5, 60, rng.integers(1, 8))), 0)
        for _ in range(12)
    ]


def test_both_ways_agree_and_order_does_not_matter(double: torch.nn.Module) -> None:
    rows = rows_of()
    found = bare_losses(double, 0, rows)
    np.testing.assert_allclose(found, plain_bare_losses(double, 0, rows), atol=1e-9)
    np.testing.assert_allclose(found[::-1], bare_losses(double, 0, rows[::-1]), atol=1e-9)
    np.testing.assert_allclose(found[:1], plain_bare_losses(double, 3, rows[:1]), atol=1e-9)
    assert np.abs(found - plain_bare_losses(double, 0, rows_of(1))).max() > 1.0


def test_where_the_engine_refuses_the_reference_scores(
    double: torch.nn.Module, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise EngineRefused("no such model")

    wanted = bare_losses(double, 0, rows_of())
    monkeypatch.setattr(module, "checked_engine", refuse)
    with caplog.at_level(logging.WARNING):
        np.testing.assert_allclose(bare_losses(double, 0, rows_of()), wanted, atol=1e-9)
    assert "no such model" in caplog.text
