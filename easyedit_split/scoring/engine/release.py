"""Offload the blocks below the entry: once the states at the entry are cached, nothing below runs again.

    blocks 0 .. l of the device -> main memory, while inside            and back, bit for bit, also after an exception

What entering itself needs of block l stays: the norm between the map and the residual, and the map that a form may
read. So do parameters that something above shares. In place of what left stands an empty tensor: a call that went
through the blocks after all would fail, not differ.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ...model.sites import RESIDUAL, find_linear
from .engine import Engine, Prepared

logger = logging.getLogger(__name__)


@contextmanager
def lower_blocks_released(engine: Engine, *prepared: Prepared) -> Iterator[int]:
    """Keep the blocks below the entry, and the entry's own, off the device while inside; only this engine may run then.

    Args:
        engine: the engine.
        *prepared: texts whose states are cached, behind one block; where they are computed again for each use, nothing
            leaves.

    Yields:
        Bytes that left; on a CPU they leave the model, not the memory.
    """
    held: list[tuple[Tensor, Tensor]] = []
    try:
        for tensor in _leaving(engine, prepared):
            kept = tensor.data
            held.append((tensor, kept.cpu()))
            tensor.data = torch.empty(0, dtype=kept.dtype, device=kept.device)
        size = sum(kept.numel() * kept.element_size() for _, kept in held)
        if held:
            logger.info("%d MB of lower blocks left the device", size >> 20)
        yield size
    finally:
        for tensor, kept in held:
            tensor.data = kept.to(tensor.device)


@contextmanager
def released(engine: Engine, *prepared: Prepared) -> Iterator[None]:
    """``lower_blocks_released`` where the engine's settings ask for it.

    Args:
        engine: the engine.
        *prepared: the texts.
    """
    if not engine.config.release:
        yield
        return
    with lower_blocks_released(engine, *prepared):
        yield


def _leaving(engine: Engine, prepared: Sequence[Prepared]) -> list[Tensor]:
    """Parameters and buffers of the lower blocks alone."""
    if any(part.states is None or part.states.keep is None for part in prepared):
        return []
    blocks, block = engine.anatomy.blocks, prepared[0].entry.block
    lower = [module for block in list(blocks)[: block + 1] for module in block.modules()]
    below = {id(module) for module in lower}
    staying = [module for module in engine.model.modules() if id(module) not in below]
    for entry in (part.entry for part in prepared):
        if entry.norm is not None:
            staying.append(blocks[block].get_submodule(entry.norm))
        if entry.site is not None and entry.site.name != RESIDUAL:
            staying.append(find_linear(engine.model, entry.site))
    stay = {id(tensor) for module in staying for tensor in _own(module)}
    found = {id(tensor): tensor for module in lower for tensor in _own(module) if id(tensor) not in stay}
    return list(found.values())


def _own(module: nn.Module) -> list[Tensor]:
    """A module's own parameters and buffers, not those of its parts."""
    return [*module.parameters(recurse=False), *module.buffers(recurse=False)]
