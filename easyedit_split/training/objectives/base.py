"""Base classes of training objectives: a loss on one direction (+m or -m) of a pair, or a closed form.

Training scores the answers under +m ("own" = the positive answer) and, with ``directions: both``, also under -m with
the answers' roles swapped ("own" = the negative). An objective is one function of one side; ``loop`` adds the sides up.
Only forward passes under one m are needed; what the bare model thinks of a pair is a constant and computed once.

Losses are in nats: L = -log P(A | q), summed over the answer's T tokens (Eq. 28).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from jaxtyping import Float, Int
from torch import Tensor

from ...registry import Registry

TrainingDelta: TypeAlias = Callable[[Any, Tensor, Any], Tensor]
"""A function ``(form, x, m) -> dy`` that replaces ``form.delta`` in training."""


@dataclass(frozen=True, slots=True)
class AnswerLosses:
    """Negative log-likelihoods of one answer of each of ``n`` pairs, with its token counts.

    Attributes:
        L: ``[n]`` summed nats.
        T: ``[n]`` answer tokens.
        P: ``[n]`` prompt tokens.
    """

    L: Float[Tensor, " n"]
    T: Int[Tensor, " n"]
    P: Int[Tensor, " n"]

    @property
    def per_token(self) -> Float[Tensor, " n"]:
        """Mean negative log-likelihood per answer token, L / T, nats."""
        return self.L / self.T


class Objective(ABC):
    """Base class of all objectives.

    Args:
        config: the objective's settings, of ``config_class``.

    Attributes:
        name: the registered name.
        config_class: frozen dataclass of the objective's settings.
        forms: form names it can train; None for every form.
        closed_form: fitted by ``fit`` from activations, without training.
        needs_other: whether the answer against the direction is scored in training.
        needs_bare: whether the bare model's losses of both answers are needed.
        recipe: another objective whose recipes it is trained by too, of which it is a variant; None for its own alone.
    """

    name: ClassVar[str]
    config_class: ClassVar[type[Any]]
    forms: ClassVar[tuple[str, ...] | None] = None
    closed_form: ClassVar[bool] = False
    needs_other: ClassVar[bool] = True
    needs_bare: ClassVar[bool] = False
    recipe: ClassVar[str | None] = None

    def __init__(self, config: Any) -> None:
        self.config = config

    @property
    def same_m(self) -> bool:
        """Whether both answers of a pair are scored at the same sampled m."""
        return True

    @property
    def pairwise(self) -> bool:
        """Whether the loss is a mean of terms of one pair each, so that a batch may be divided to save memory.

        Otherwise ``side_loss`` is given whole batches.
        """
        return False

    @property
    def reach(self) -> float | None:
        """Largest relative change r = |m dh| / |h| to train at, which limits a run's factors; None for no limit."""
        return None

    def minus_delta(self, form: type[Any], site: str) -> TrainingDelta | None:
        """The update to add in the -m direction instead of the form's own; None for the form's own at -m.

        Args:
            form: the form's class, which says what its change is like (``forms.base.Form``).
            site: key of the site.

        Raises:
            ConfigError: the objective has no such change for this form at this site.
        """
        return None


class TrainedObjective(Objective):
    """Base class of objectives that are a loss, minimised by gradient descent."""

    @abstractmethod
    def side_loss(
        self,
        own: AnswerLosses,
        other: AnswerLosses | None,
        bare_own: AnswerLosses | None,
        bare_other: AnswerLosses | None,
    ) -> Float[Tensor, " n"]:
        """Loss of each pair for one direction.

        Args:
            own: losses, under the intervention, of the answer that this direction is to make likely.
            other: the same for the other answer, ``[n]``; None unless ``needs_other``.
            bare_own: losses of the own answer under the bare model; None unless ``needs_bare``.
            bare_other: losses of the other answer under the bare model; None unless ``needs_bare``.
        """


class FittedObjective(Objective):
    """Base class of objectives with a closed form in mean activations."""

    closed_form = True

    @abstractmethod
    def fit(self, positive: Float[Tensor, "n d"], negative: Float[Tensor, "k d"]) -> Float[Tensor, " d"]:
        """Fit the vector v to mean activations over the answers' tokens.

        Args:
            positive: mean activation over the tokens of each positive answer.
            negative: mean activation over the tokens of each negative answer.
        """


OBJECTIVES: Registry[type[Objective]] = Registry(
    "objective", "easyedit_split.training.objectives", group="easyedit_split.objectives"
)
