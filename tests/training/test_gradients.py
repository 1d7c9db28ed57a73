"""Training under switched-off gradients gives what it gives under them; a model that no gradient passes is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from easyedit_split.scoring.sweep_pairs import sweep_pairs
from easyedit_split.training.train_pairs import train_artifact
from easyedit_split.types import ConfigError

from ..small import PAIRS, equal, run_config, world


@contextmanager
def switched_off() -> Iterator[None]:
    torch.set_grad_enabled(False)
    try:
        yield
    finally:
        assert not torch.is_grad_enabled()
        torch.set_grad_enabled(True)


@pytest.mark.parametrize("objective", ["split", "reps", "diff_mean"])
@pytest.mark.parametrize("off", [switched_off, torch.no_grad, torch.inference_mode])
def test_training_switches_gradients_on(objective: str, off: type[torch.no_grad]) -> None:
    here, run = world(dtype=torch.float32), run_config(objective=objective, epochs=1)
    wanted = train_artifact(here.model, here.tokenizer, PAIRS, run)
    scores = sweep_pairs(here.model, here.tokenizer, PAIRS, wanted, (0.0, 1.0))
    with off():
        found = train_artifact(here.model, here.tokenizer, PAIRS, run)
        again = sweep_pairs(here.model, here.tokenizer, PAIRS, found, (0.0, 1.0))
    assert equal(found.only(), wanted.only())
    np.testing.assert_array_equal(scores.pref, again.pref)


def test_a_model_made_in_inference_mode_cannot_train_and_says_so() -> None:
    with torch.inference_mode():
        here = world(dtype=torch.bfloat16)
    with pytest.raises(ConfigError, match=r"loaded under torch.inference_mode\(\).*load it outside"):
        train_artifact(here.model, here.tokenizer, PAIRS, run_config(epochs=1))
    with torch.no_grad():
        fine = world(dtype=torch.float32)
    artifact = train_artifact(fine.model, fine.tokenizer, PAIRS, run_config(epochs=1))  # control
    assert np.isfinite(sweep_pairs(here.model, here.tokenizer, PAIRS, artifact, (1.0,)).pref).all()
