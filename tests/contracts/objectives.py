"""What every objective keeps: it needs what it says, pulls the own answer up, and training with it steers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from easyedit_split.config import build
from easyedit_split.log_odds import preference
from easyedit_split.scoring.score import score
from easyedit_split.steering.forms.base import FORMS
from easyedit_split.steering.intervention import Intervention
from easyedit_split.training.loop import train_intervention
from easyedit_split.training.objectives.base import OBJECTIVES, AnswerLosses, FittedObjective, TrainedObjective
from easyedit_split.training.run_config import RunConfig
from easyedit_split.types import ConfigError, Pair

from ..small import PAIRS, World, equal, run_config, world

SWAPPED = tuple(Pair(pair.prompt, pair.negative, pair.positive) for pair in PAIRS)
N = 5
TOKENS = torch.tensor([3, 1, 7, 2, 4])
PROMPTS = torch.tensor([6, 9, 5, 8, 7])


def trainable(name: str) -> tuple[str, ...]:
    """The forms that an objective can train."""
    return OBJECTIVES[name].forms or FORMS.names()


def losses(seed: int) -> Tensor:
    """``[N]`` summed losses of plausible size, nats."""
    return TOKENS * (0.5 + 3 * torch.rand(N, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))


def side_loss(objective: TrainedObjective, own: Tensor, order: Tensor) -> Tensor:
    """The loss of each pair, of rows in some order, given exactly what the objective says that it needs."""
    other, bare_own, bare_other = (losses(seed)[order] for seed in (1, 2, 3))

    def answers(values: Tensor) -> AnswerLosses:
        return AnswerLosses(values, TOKENS[order], PROMPTS[order])

    return objective.side_loss(
        answers(own[order]),
        answers(other) if objective.needs_other else None,
        answers(bare_own) if objective.needs_bare else None,
        answers(bare_other) if objective.needs_bare else None,
    )


def made(name: str) -> Any:
    """An objective with its own defaults."""
    return OBJECTIVES[name](build(OBJECTIVES[name].config_class, {}, name))


def mean_preference(here: World, intervention: Intervention | None = None) -> float:
    scores = score(here.model, here.rows, intervention, 1.0)
    return float(np.mean(preference(scores.L_p, scores.L_n)))


def trained(here: World, run: RunConfig) -> Intervention:
    return train_intervention(here.model, here.template, here.rows, run)[0]


# --- of every objective --------------------------------------------------------------------------------------------


def check_what_it_says_of_itself(name: str) -> None:
    """Its own name, a loss or a closed form, settings with defaults, forms that exist."""
    objective = OBJECTIVES[name]
    assert objective.name == name
    assert issubclass(objective, FittedObjective) == objective.closed_form
    assert issubclass(objective, TrainedObjective) != objective.closed_form
    assert isinstance(made(name), objective)
    assert set(objective.forms or ()) <= set(FORMS)


def check_an_impossible_pairing_fails_when_it_is_read(name: str) -> None:
    """With every form that it cannot train, and with none that it can."""
    for form in FORMS:
        settings = {"form": form, "objective": name, "layers": [1]}
        if form in trainable(name):
            assert RunConfig.read(settings).form == form
        else:
            with pytest.raises(ConfigError, match=f"'{name}' cannot train form '{form}'"):
                RunConfig.read(settings)


# --- of losses -----------------------------------------------------------------------------------------------------


def check_loss(name: str) -> None:
    """One finite number a pair, whatever the order of pairs, that falls when the own answer gets likelier."""
    objective, own = made(name), losses(0).requires_grad_(True)
    loss = side_loss(objective, own, torch.arange(N))
    assert loss.shape == (N,)
    assert bool(loss.isfinite().all())
    order = torch.tensor([3, 0, 4, 2, 1])
    torch.testing.assert_close(side_loss(objective, own, order), loss[order])
    (gradient,) = torch.autograd.grad(loss.sum(), own)
    assert bool((gradient >= 0).all())
    assert float(gradient.sum()) > 0


def check_training_steers(name: str, form: str) -> None:
    """Preference rises; with the answers' roles swapped it falls; without a step's size it stays."""
    here, there = world(dtype=torch.float32), world(dtype=torch.float32, pairs=SWAPPED)
    settings: dict[str, Any] = {"epochs": 8, "batch_size": N, "directions": "both"}
    run, still = (run_config(form, name, lr=lr, **settings) for lr in (0.3, 1e-7))
    bare = mean_preference(here)
    assert mean_preference(here, trained(here, run)) > bare + 0.1
    assert mean_preference(here, trained(there, run)) < bare - 0.1
    assert mean_preference(here, trained(here, still)) == pytest.approx(bare, abs=0.01)


def check_training_repeats(name: str, form: str, directions: str) -> None:
    """Bit for bit, and not without effect."""
    here = world(dtype=torch.float32)
    run = run_config(form, name, directions=directions, epochs=1, dropout=0.1, steering_factors=(0.5, 1.0, 2.0))
    first, second = (train_intervention(here.model, here.template, here.rows, run) for _ in range(2))
    assert equal(first[0], second[0])
    assert first[1] == second[1]
    assert all(step.grad_norm > 0 for step in first[1])


# --- of closed forms -----------------------------------------------------------------------------------------------


def check_closed_form(name: str, form: str) -> None:
    """A vector of the data, finite and not zero, that turns round when the answers' roles are swapped."""
    here, there = world(dtype=torch.float32), world(dtype=torch.float32, pairs=SWAPPED)
    run = run_config(form, name)
    v, swapped = (trained(where, run)["1.residual"].bias_delta() for where in (here, there))
    assert v is not None
    assert swapped is not None
    v, swapped = v.detach(), swapped.detach()
    assert bool(v.isfinite().all())
    assert bool(v.norm() > 0)
    assert float(torch.cosine_similarity(v, swapped, 0)) < -0.9
