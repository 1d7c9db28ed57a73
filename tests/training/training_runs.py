"""Runs of a tiny model on the toy pairs, and what is watched in them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from easyedit_split.log_odds import preference
from easyedit_split.scoring.engine.engine import EngineConfig
from easyedit_split.scoring.engine.refusal import EngineRefused
from easyedit_split.scoring.score import score
from easyedit_split.steering.intervention import Intervention
from easyedit_split.training.loop import Step, train_intervention
from easyedit_split.training.run_config import RunConfig

from ..small import PAIRS, World

train_module: Any = importlib.import_module("easyedit_split.training.answers")
PLAIN = EngineConfig(plain=True)
ALL = len(PAIRS)


def trained(here: World, run: RunConfig, **settings: Any) -> tuple[Intervention, tuple[Step, ...]]:
    return train_intervention(here.model, here.template, here.rows, run, **settings)


def mean_preference(here: World, intervention: Intervention | None = None, m: float = 1.0) -> float:
    scores = score(here.model, here.rows, intervention, m)
    return float(np.mean(preference(scores.L_p, scores.L_n)))


def stop_after(monkeypatch: pytest.MonkeyPatch, calls: int, spoil: Callable[[Tensor, Intervention], Tensor]) -> None:
    real, count = train_module.row_losses, iter(range(10**6))

    def spoiled(*args: Any, **kwargs: Any) -> Tensor:
        losses: Tensor = real(*args, **kwargs)
        return spoil(losses, args[2]) if next(count) >= calls else losses

    monkeypatch.setattr(train_module, "row_losses", spoiled)
    monkeypatch.setattr(train_module, "checked_engine", refused)


def refused(*args: Any) -> Any:
    raise EngineRefused("a test")
