"""Temporary replacement of decoder blocks by modules that pass given hidden states on.

The model's own decoder runs over its own list of blocks, so absolute indices, per-layer attention kinds, rotary tables
and the final norm are its own; no block's signature is relied on but that the hidden states come first. On leaving,
also after an exception, every block stands where it stood.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from ...model.sites import block_list


class StandIn(nn.Module):
    """Replacement of a decoder block; attributes other than ``forward`` are the block's.

    Args:
        block: what it stands for, which is not made a part of it.
        hidden: what it gives out; None for what comes in.
        in_tuple: whether the block gives its hidden states as the first of a tuple.
    """

    def __init__(self, block: nn.Module, hidden: Tensor | None, in_tuple: bool) -> None:
        super().__init__()
        self.__dict__["block"] = block
        self.hidden = hidden
        self.in_tuple = in_tuple

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["block"], name)

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        """The hidden states that the next block receives.

        Args:
            hidden_states: of the call.
            *args: the decoder's own, unused.
            **kwargs: the decoder's own, unused.
        """
        hidden = hidden_states if self.hidden is None else self.hidden
        return (hidden,) if self.in_tuple else hidden


@contextmanager
def standing_in(
    model: nn.Module,
    places: Sequence[int],
    entry: tuple[int, Float[Tensor, "b n d"]] | None = None,
    *,
    in_tuple: bool = False,
) -> Iterator[None]:
    """Replace decoder blocks while the context is open.

    Args:
        model: whose blocks.
        places: indices of the blocks that only hand on what comes in.
        entry: index of one more block, and the hidden states that it gives out instead.
        in_tuple: whether the model's blocks give tuples.
    """
    blocks = block_list(model)
    assert isinstance(blocks, nn.ModuleList)
    wanted: dict[int, Tensor | None] = dict.fromkeys(places)
    if entry is not None:
        wanted[entry[0]] = entry[1]
    stood = {place: blocks[place] for place in wanted}
    try:
        for place, hidden in wanted.items():
            blocks[place] = StandIn(stood[place], hidden, in_tuple)
        yield
    finally:
        for place, block in stood.items():
            blocks[place] = block
