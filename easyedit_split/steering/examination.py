"""What is exact in a model, and what is not: every kind of map tried, left padding, the cache. For ``doctor``.

One block of each kind is tried; errors are those of ``self_check``: relative, in the model's own dtype.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from ..model.hooks import device_of
from ..model.maps import map_widths, maps_in
from ..model.sites import RESIDUAL, Site, blocks_of, hidden_size, short_names
from ..types import ConfigError
from .limits import cache_error, largest_error, padding_error
from .self_check import is_block_output, map_error


@dataclass(frozen=True, slots=True)
class MapFound:
    """Result for one kind of linear map in a model's blocks.

    Attributes:
        path: inside its block, as ``--set site=`` takes it; ``residual`` for the block's output.
        short: the short name that it also has, or empty.
        widths: ``(d_in, d_out)``.
        blocks: indices of the blocks that have it.
        error: of hooked against edited weights, relative to the change; or why it cannot be steered.
        at_output: whether a change at the map is one at the block's output; None where the map is not as wide as the
            residual stream, or cannot be steered.
        exact: whether the error is rounding.
    """

    path: str
    short: str
    widths: tuple[int, int]
    blocks: tuple[int, ...]
    error: float | str
    at_output: bool | None
    exact: bool


@dataclass(frozen=True, slots=True)
class Examination:
    """Result of examining a model: blocks, maps, and what is exact.

    Attributes:
        blocks: how many there are, and of which class.
        maps: every kind of map, the block's output first.
        padding: error of rows padded on the left, or why they cannot be.
        cache: error of tokens behind cached ones, or why there is no cache to use.
        allowed: largest error that is taken for rounding.
    """

    blocks: str
    maps: tuple[MapFound, ...]
    padding: float | str
    cache: float | str
    allowed: float


def examine(model: nn.Module) -> Examination:
    """Try every kind of map of a model, left padding and the cache; the model is left as it is.

    Args:
        model: a Hugging Face causal LM with its weights.

    Raises:
        ConfigError: its blocks cannot be found, or it is on the meta device.
    """
    if device_of(model).type == "meta":
        raise ConfigError("the model has no weights (it is on the meta device), so nothing can be tried: load it")
    blocks, d = blocks_of(model), hidden_size(model)
    kinds: dict[tuple[str, str, tuple[int, int]], list[int]] = {}
    for index, block in enumerate(blocks):
        kinds.setdefault((RESIDUAL, "", (d, d)), []).append(index)
        short = {path: name for name, path in short_names(model, index).items()}
        for path, module in maps_in(block).items():
            kinds.setdefault((path, short.get(path, ""), map_widths(module) or (0, 0)), []).append(index)
    classes = dict.fromkeys(type(block).__name__ for block in blocks)
    return Examination(
        f"{len(blocks)} ({', '.join(classes)})",
        tuple(_found(model, *kind, tuple(where)) for kind, where in kinds.items()),
        padding_error(model),
        cache_error(model),
        largest_error(model),
    )


def _found(model: nn.Module, path: str, short: str, widths: tuple[int, int], blocks: tuple[int, ...]) -> MapFound:
    site = Site(blocks[len(blocks) // 2], path)
    error = map_error(model, site)
    exact = not isinstance(error, str) and error <= largest_error(model)
    wide = exact and widths[1] == hidden_size(model)
    return MapFound(path, short, widths, blocks, error, is_block_output(model, site) if wide else None, exact)
