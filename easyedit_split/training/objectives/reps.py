"""RePS, reference-free preference steering (Wu et al. 2025b).

    L = -log sigma(Delta+) - log sigma(Delta-)
    Delta+ = beta+ / |y_c| log p(y_c | x; +m) - 1 / |y|   log p(y | x; +m)
    Delta- = beta- / |y|   log p(y | x; -)    - 1 / |y_c| log p(y_c | x; -)
    beta+ = max(log p(y | x) - log p(y_c | x), 1)      beta- = max(log p(y_c | x) - log p(y | x), 1)

y_c is the positive answer and y the negative; beta comes from the bare model and is a constant per pair. Delta- is
Delta+ with the answers' roles swapped, so one function serves both sides. For vectors the negative side removes the
direction instead of subtracting it (``subtraction: null_it_out``); it is not affine in m and used in training only:

    h - (relu(h . v) / ||v||^2) v          nothing is removed while v = 0

h is what v is added to, so the vector has to stand at ``residual``. LoRA and local weight always use -m. |y| counts
answer tokens; ``length: sequence`` counts prompt and answer, as the authors' and EasyEdit2's code do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from ...config import require
from .base import OBJECTIVES, AnswerLosses, TrainedObjective, TrainingDelta


@dataclass(frozen=True, slots=True)
class RepsConfig:
    """Settings of RePS.

    Attributes:
        length: what |y| counts: ``answer`` tokens (the paper) or the whole ``sequence`` (the published code).
        subtraction: how the negative side of a vector is made: ``null_it_out`` or ``normal`` (-m).
    """

    length: Literal["answer", "sequence"] = "answer"
    subtraction: Literal["null_it_out", "normal"] = "null_it_out"


def null_it_out(form: Any, x: Float[Tensor, "b s d"], m: Any = None) -> Float[Tensor, "b s d"]:
    """The update dy that projects the direction v out of h = x where h points along v; independent of m.

    Args:
        form: a form whose ``bias_delta()`` is v ``[d]``.
        x: hidden states at the steered place.
        m: unused; the removal does not depend on it.
    """
    v: Tensor = form.bias_delta()
    v = v.to(torch.promote_types(x.dtype, v.dtype))
    square = v.square().sum()
    along = (x.to(v.dtype) @ v).relu() / torch.where(square > 0, square, 1)
    return -along[..., None] * v


@OBJECTIVES.register("reps")
class Reps(TrainedObjective):
    """Preference loss in both directions (+m and -m), weighted by the unsteered model's losses."""

    name = "reps"
    config_class = RepsConfig
    needs_bare = True
    config: RepsConfig

    def minus_delta(self, form: type[Any], site: str) -> TrainingDelta | None:
        """The projection of the direction out of h for a form that is one direction; the others use -m.

        Args:
            form: the form's class.
            site: key of the site.
        """
        if not form.constant or self.config.subtraction != "null_it_out":
            return None
        require(
            site == "residual",
            f"null_it_out removes v from the residual stream, not from {site}: use site residual or subtraction normal",
        )
        return null_it_out

    @property
    def pairwise(self) -> bool:
        """True: the loss is a mean over pairs."""
        return True

    def side_loss(
        self,
        own: AnswerLosses,
        other: AnswerLosses | None,
        bare_own: AnswerLosses | None,
        bare_other: AnswerLosses | None,
    ) -> Float[Tensor, " n"]:
        """Loss -log sigma(Delta) of each pair.

        Args:
            own: losses of the answer that this direction makes likely.
            other: losses of the other answer.
            bare_own: losses of the own answer under the bare model.
            bare_other: losses of the other answer under the bare model.
        """
        assert other is not None
        assert bare_own is not None
        assert bare_other is not None
        beta = (bare_own.L - bare_other.L).clamp(min=1)  # log p(other) - log p(own), at least 1
        delta = -beta * own.L / self._length(own) + other.L / self._length(other)
        return -logsigmoid(delta)

    def _length(self, answers: AnswerLosses) -> Tensor:
        return answers.T + answers.P if self.config.length == "sequence" else answers.T
