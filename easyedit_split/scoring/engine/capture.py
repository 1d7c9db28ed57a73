"""Fill the engine's caches: hidden states of the unsteered model, and keys and values of tokens that never change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...model.sites import RESIDUAL, find_linear
from .anatomy import Anatomy
from .decoder import arguments_of
from .entry import HIDDEN, INPUT, OUTPUT, STREAM, Entry
from .kept_keys import KeptKeys, Recorder
from .launch import Launch, inputs_of
from .packing import Cost, Member, PackedRow, Scored, pack
from .refusal import EngineRefused
from .stand_ins import standing_in
from .states import States
from .tries import Trie

_NONE = (((0.0, 0.0),),)
"""One repeat, one slot, no strength."""


def rows_of_bare(trie: Trie, lengths: Sequence[int], order: Sequence[int], cost: Cost) -> list[PackedRow]:
    """Packed rows that hold the first tokens of each text, with no token scored or steered.

    Args:
        trie: of the texts.
        lengths: how many of each text's tokens are wanted.
        order: in which texts are packed.
        cost: of rows.
    """
    cut = Trie(trie.parent, trie.depth, trie.token, tuple(p[:n] for p, n in zip(trie.paths, lengths, strict=True)))
    nothing = np.zeros(0, dtype=np.int64)
    texts = [Scored(n + 1, nothing, np.zeros(n, dtype=np.bool_), 0) for n in lengths]
    return pack(cut, texts, [[Member(i)] for i in order if lengths[i]], cost)


@torch.no_grad()
def run_bare(anatomy: Anatomy, entry: Entry, row: PackedRow) -> dict[str, Tensor]:
    """Hidden states ``[n width]`` of one row's tokens under the unsteered model, as ``entry`` needs them.

    Args:
        anatomy: of the model.
        entry: what is wanted.
        row: which tokens.
    """
    inputs = inputs_of(Launch((row,), _NONE), anatomy.device)
    above = range(entry.block + 1, len(anatomy.blocks))
    with ExitStack() as stack:
        stack.enter_context(standing_in(anatomy.model, above, in_tuple=anatomy.in_tuple))
        found = stack.enter_context(_noting(anatomy, entry))
        anatomy.decoder(**arguments_of(anatomy, inputs, None, None))
    return {name: found[name][0] for name in entry.needs}


@contextmanager
def _noting(anatomy: Anatomy, entry: Entry) -> Iterator[dict[str, Tensor]]:
    """Record, while the model runs, the tensors that an entry point needs."""
    found: dict[str, Tensor] = {}
    block = anatomy.blocks[entry.block]

    def output(module: nn.Module, args: tuple[Any, ...], value: Any) -> None:
        found[HIDDEN] = value[0] if isinstance(value, tuple) else value

    def of_map(module: nn.Module, args: tuple[Any, ...], value: Any) -> None:
        found[INPUT], found[OUTPUT] = (t if t.ndim == 3 else t[None] for t in (args[0], value))  # of one row

    def stream(module: nn.Module, args: tuple[Any, ...]) -> None:
        found[STREAM] = args[0]

    handles = [block.register_forward_hook(output)]
    if entry.site is not None and entry.site.name != RESIDUAL:
        handles.append(find_linear(anatomy.model, entry.site).register_forward_hook(of_map))
    if entry.stream is not None:
        handles.append(block.get_submodule(entry.stream).register_forward_pre_hook(stream))
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def keys_of(
    anatomy: Anatomy, nodes_in_all: int, entry: Entry, states: States | None, rows: Sequence[PackedRow]
) -> KeptKeys:
    """Keys and values of the rows' tokens in every block after the entry point.

    Args:
        anatomy: of the model.
        nodes_in_all: of the texts' trie.
        entry: where launches enter.
        states: what enters; None where the model runs from its embeddings.
        rows: from ``rows_of_bare``; a node's first row counts.

    Raises:
        EngineRefused: a block did not hand its keys to the cache.
    """
    kept = KeptKeys(nodes_in_all)
    seen = np.zeros(nodes_in_all, dtype=np.bool_)
    nodes: list[Tensor] = []
    parts: dict[int, list[tuple[Tensor, Tensor]]] = {}
    for row in rows:
        new = torch.from_numpy(np.flatnonzero(~seen[row.node]))
        seen[row.node] = True
        nodes.append(torch.from_numpy(row.node)[new])
        for block, (keys, values) in _recorded(anatomy, entry, states, row).items():
            chosen = new.to(keys.device)
            pair = (keys[0].transpose(0, 1)[chosen], values[0].transpose(0, 1)[chosen])
            parts.setdefault(block, []).append(pair)
    joined = {b: (torch.cat([k for k, _ in p]), torch.cat([v for _, v in p])) for b, p in parts.items()}
    kept.fill(torch.cat(nodes), joined)
    return kept


def _recorded(
    anatomy: Anatomy, entry: Entry, states: States | None, row: PackedRow
) -> dict[int, tuple[Tensor, Tensor]]:
    inputs = inputs_of(Launch((row,), _NONE), anatomy.device)
    recorder = Recorder()
    if states is None:
        anatomy.decoder(**arguments_of(anatomy, inputs, None, recorder))
    else:
        hidden = states.at(inputs.node, anatomy.device, lambda row: run_bare(anatomy, entry, row))[HIDDEN]
        below = range(entry.block)
        with standing_in(anatomy.model, below, (entry.block, hidden), in_tuple=anatomy.in_tuple):
            anatomy.decoder(**arguments_of(anatomy, inputs, hidden, recorder))
    silent = [i for i in range(entry.block + 1, len(anatomy.blocks)) if i not in recorder.noted]
    if silent:
        raise EngineRefused(f"block {silent[0]} does not write its keys to the cache")
    return recorder.noted
