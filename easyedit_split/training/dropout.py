"""Dropout on dy in training: each element is 0 with probability p, else scaled by 1 / (1 - p).

    dy' = kept dy / (1 - p)        kept from Bernoulli(1 - p), drawn row by row

The draws of a row depend on the run's own source and on its rows before it, not on which rows share a launch, so a run
draws the same noise alone and among others.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from ..steering.attach import Delta
from ..steering.forms.base import Form, Strength


class Dropout:
    """Draws which elements of dy stay.

    Args:
        p: probability of being dropped, above 0.
        noise: source of the draws, on the model's device.
    """

    def __init__(self, p: float, noise: torch.Generator) -> None:
        self.keep, self.noise = 1 - p, noise

    def draw(self, *shape: int) -> Bool[Tensor, ...]:
        """Which elements stay.

        Args:
            *shape: of dy.
        """
        drawn = torch.empty(shape, device=self.noise.device).bernoulli_(self.keep, generator=self.noise)
        return drawn.bool()

    def of_rows(self, widths: Sequence[int], d: int) -> list[Bool[Tensor, "1 _ d"]]:
        """Which elements stay, of rows drawn one after the other.

        Args:
            widths: tokens of each row.
            d: width of dy.
        """
        return [self.draw(1, width, d) for width in widths]

    def whole(self, delta: Delta) -> Delta:
        """The change with dropout, its mask drawn for the whole batch.

        Args:
            delta: the change.
        """

        def change(form: Form, x: Tensor, m: Strength) -> Tensor:
            dy = delta(form, x, m)
            return self._dropped(dy, self.draw(*dy.shape))

        return change

    def by_rows(self, delta: Delta, widths: Sequence[int]) -> Delta:
        """The change with dropout, its mask drawn row by row.

        Args:
            delta: the change.
            widths: tokens of each row, padding left out.
        """

        def change(form: Form, x: Tensor, m: Strength) -> Tensor:
            dy = delta(form, x, m)
            return self._dropped(dy, _padded(self.of_rows(widths, dy.shape[-1]), dy))

        return change

    def drawn(self, delta: Delta, kept: Sequence[Bool[Tensor, "1 _ d"]]) -> Delta:
        """The change with dropout, its mask drawn before.

        Args:
            delta: the change.
            kept: which elements of each row stay.
        """

        def change(form: Form, x: Tensor, m: Strength) -> Tensor:
            dy = delta(form, x, m)
            return self._dropped(dy, _padded(kept, dy))

        return change

    def _dropped(self, dy: Tensor, kept: Tensor) -> Tensor:
        return dy * kept.to(dy) / self.keep


def _padded(kept: Sequence[Tensor], dy: Tensor) -> Tensor:
    """``[r n d]``, nothing kept under padding."""
    if len(kept) == 1 and kept[0].shape == dy.shape:
        return kept[0]
    table = torch.zeros(dy.shape, dtype=torch.bool, device=dy.device)
    for row, part in zip(table, kept, strict=True):
        row[: part.shape[1]] = part[0].to(dy.device)
    return table
