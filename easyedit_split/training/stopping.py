"""Stopping on divergence: a loss, gradient or parameter that is not finite ends training at the last finite state.

    state after step k   gives the loss and gradient of step k + 1   gives the state after step k + 1

A state is good once loss and gradient at it were finite. What stops a run at step k + 1 is therefore, as a rule, the
state after step k itself: the one kept is that before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from ..steering.intervention import Intervention
from ..types import SteeringError


@dataclass(frozen=True, slots=True)
class Step:
    """One optimiser step in the training history.

    Attributes:
        step: 1-based optimiser step.
        epoch: 0-based.
        lr: learning rate of the step.
        loss: the objective's, averaged over the step's pairs.
        grad_norm: global norm of the gradient before clipping.
        m: mean of the step's m.
        pairs: how many pairs the step saw.
    """

    step: int
    epoch: int
    lr: float
    loss: float
    grad_norm: float
    m: float
    pairs: int


class TrainingStopped(SteeringError):
    """Training met a loss, gradient or parameter that is not finite.

    Args:
        message: what was not finite, and where.
        intervention: the last state whose loss and gradient were finite; the start where there was none.
        history: the steps that led to it.
    """

    def __init__(self, message: str, intervention: Intervention, history: tuple[Step, ...]) -> None:
        super().__init__(message)
        self.intervention = intervention
        self.history = history


class LastGood:
    """A copy of an intervention's parameters at the last step whose loss and gradients were finite.

    Args:
        intervention: the intervention in training.

    Attributes:
        steps: optimiser steps that led to the copy.
    """

    def __init__(self, intervention: nn.Module) -> None:
        self._parameters = list(intervention.parameters())
        self._copies = [parameter.detach().clone() for parameter in self._parameters]
        self.steps = 0

    def keep(self, steps: int) -> None:
        """Copy the current parameters, which are those after ``steps`` steps.

        Args:
            steps: optimiser steps so far.
        """
        self.steps = steps
        self._copy(self._copies, self._parameters)

    def restore(self) -> None:
        """Copy the kept parameters back into the intervention."""
        self._copy(self._parameters, self._copies)

    def copies(self, names: Iterable[str]) -> dict[str, torch.Tensor]:
        """The kept parameters by name.

        Args:
            names: of the parameters, in order.
        """
        return dict(zip(names, self._copies, strict=True))

    def load(self, copies: Mapping[str, torch.Tensor], steps: int) -> None:
        """Put back what ``copies`` gave.

        Args:
            copies: by name, in the parameters' order.
            steps: optimiser steps that led to them.
        """
        self.steps = steps
        self._copy(self._copies, [*copies.values()])

    @staticmethod
    @torch.no_grad()
    def _copy(to: list[nn.Parameter] | list[torch.Tensor], of: list[nn.Parameter] | list[torch.Tensor]) -> None:
        for target, source in zip(to, of, strict=True):
            target.copy_(source)
