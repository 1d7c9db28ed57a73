"""Linear maps as modules: what counts as one, how wide it is, and its weight as a matrix, however it is stored.

    y = W x + b,   W [d_out, d_in]          transformers' ``Conv1D`` (GPT-2) keeps W transposed

Told by what a module has, not by its class alone, so that quantised maps and those of adapters count too. A map may be
named in part, ``mlp.gate_up_proj[0:48]``: those rows of W, which is how one map of a fused pair is named.
"""

from __future__ import annotations

import re
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from ..types import ConfigError
from .describe import has_adapter
from .wrappers import unwrap

_ROWS = re.compile(r"(?P<path>.+)\[(?P<start>\d+):(?P<stop>\d+)\]")


def map_widths(module: nn.Module) -> tuple[int, int] | None:
    """``(d_in, d_out)`` of a linear map; None where a module is none.

    Args:
        module: any module.
    """
    weight: Any = getattr(module, "weight", None)
    if is_transposed(module):
        return int(weight.shape[0]), int(weight.shape[1])
    d_in, d_out = (getattr(module, name, None) for name in ("in_features", "out_features"))
    if isinstance(d_in, int) and isinstance(d_out, int) and not isinstance(module, nn.Bilinear):
        return d_in, d_out
    return None


def is_transposed(module: nn.Module) -> bool:
    """Whether a module is a linear map that keeps its weight as ``[d_in, d_out]``.

    Args:
        module: any module.
    """
    weight = getattr(module, "weight", None)
    return type(module).__name__ == "Conv1D" and hasattr(module, "nf") and isinstance(weight, Tensor)


def matrix_of(module: nn.Module) -> Float[Tensor, "d_out d_in"] | None:
    """A map's weight W as a matrix of floats, a view of the model's own; None where W is not one such matrix.

    Args:
        module: a linear map; one in which an adapter acts has no matrix of its own.
    """
    weight: Any = getattr(module, "weight", None)
    if has_adapter(module) or type(weight) not in (Tensor, nn.Parameter):  # another type of tensor is quantised
        return None
    if not weight.is_floating_point() or weight.ndim != 2:
        return None
    matrix = weight.T if is_transposed(module) else weight
    widths = map_widths(module)
    return matrix if widths is not None and tuple(matrix.shape) == widths[::-1] else None


def maps_in(block: nn.Module) -> dict[str, nn.Module]:
    """Every linear map of a block by its dotted path, in the block's order; none inside another.

    Args:
        block: a decoder block; registered wrappers in it are looked through.
    """
    found: dict[str, nn.Module] = {}

    def visit(module: nn.Module, path: str) -> None:
        for name, child in module.named_children():
            inner, at = unwrap(child), f"{path}{name}"
            if map_widths(inner) is not None:
                found[at] = inner
            else:
                visit(inner, f"{at}.")

    visit(unwrap(block), "")
    return found


def split_rows(name: str) -> tuple[str, slice | None]:
    """A site's name without its rows, and the rows; None where it names the whole map.

    Args:
        name: e.g. ``mlp.gate_up_proj[0:48]``.
    """
    found = _ROWS.fullmatch(name)
    if found is None:
        return name, None
    return found["path"], slice(int(found["start"]), int(found["stop"]))


def rows_within(rows: slice | None, d_out: int, key: str) -> slice | None:
    """The rows of a site's name, checked against the map.

    Args:
        rows: from ``split_rows``.
        d_out: width of the map's output.
        key: how messages call the site.

    Raises:
        ConfigError: none, or more than there are.
    """
    if rows is not None and not 0 <= rows.start < rows.stop <= d_out:
        raise ConfigError(
            f"{key}: rows {rows.start} to {rows.stop} of a map that has {d_out}: write [start:stop], 0-based, "
            "without the stop"
        )
    return rows
