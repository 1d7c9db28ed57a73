"""The factors of a step within a largest relative change r = |m dh| / |h|: they shrink as the change grows.

    m = f min(1, reach / (r_per_m max f))            f a steering factor; r_per_m of the intervention before the step

A run with plain factors ends wherever its learning rate carries it: its largest factor may then change activations by
several times their length, where no text is valid. r is the median over steered tokens, as in a sweep; before the first
step it is 0 and factors are as they stand. Nothing random is drawn here.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ..scoring.natural_unit import steered_values, units_of
from ..steering.intervention import Intervention
from ..text.encode_pairs import EncodedPair


class Reach:
    """Scale of a run's steering factors, from its intervention as it is.

    Args:
        limit: largest r to train at.
        largest: the largest steering factor.
        model: the bare model.
        pairs: of the run; a few of their answers are read, once.
        intervention: what is trained.
        pad_id: any valid id.
    """

    def __init__(
        self,
        limit: float,
        largest: float,
        model: nn.Module,
        pairs: Sequence[EncodedPair],
        intervention: Intervention,
        pad_id: int,
    ) -> None:
        self.limit, self.largest = limit, largest
        self.model, self.intervention = model, intervention
        self._values = steered_values(model, pairs, intervention, pad_id=pad_id)

    def scale(self) -> float:
        """What every factor is multiplied by at the present parameters: at most 1; 1 where r is undefined."""
        units = units_of(self.model, self._values, self.intervention)
        r = self.largest * max(unit.r_per_m for unit in units.values())
        return self.limit / r if r > self.limit else 1.0
