"""Inputs of one forward pass: packed rows, padded to one width, at one or more sets of strengths m.

b = repeats x rows,  row-major in the repeats:  repeat 0 of all rows, repeat 1 of all rows, ...
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int
from torch import Tensor

from ...types import FloatArray, IntArray
from .head import Targets
from .packing import Member, PackedRow
from .tries import BoolArray

Strengths = Sequence[tuple[float, float]]
"""``(m1, m2)`` of each slot."""


@dataclass(frozen=True, slots=True)
class Launch:
    """Rows and strengths of one forward pass.

    Attributes:
        rows: the packed rows.
        strengths: for each repeat ``(m1, m2)`` of each slot.
    """

    rows: tuple[PackedRow, ...]
    strengths: tuple[Strengths, ...]

    @property
    def members(self) -> list[Member]:
        """The texts of all rows, in order."""
        return [member for row in self.rows for member in row.members]

    @property
    def tokens(self) -> int:
        """Number of tokens of the forward pass, padding included."""
        return len(self.strengths) * len(self.rows) * max(len(row.node) for row in self.rows)

    def halves(self) -> tuple[Launch, ...]:
        """Two forward passes that make up this one, split by strengths or else by rows; empty for a single row."""
        if len(self.strengths) > 1:
            half = len(self.strengths) // 2
            return tuple(Launch(self.rows, part) for part in (self.strengths[:half], self.strengths[half:]))
        if len(self.rows) > 1:
            half = len(self.rows) // 2
            parts = (self.rows[:half], self.rows[half:])
            return tuple(Launch(rows, self.strengths) for rows in parts)
        return ()


MOST_PADDING = 0.05
"""Share of a launch that may be padding: a further launch costs less than running more of it."""
FLOPS_OF_A_LAUNCH = 5e11
"""What a GPU computes while a further launch is prepared, some 10 ms: so much padding is no loss there."""


def batched(widths: Sequence[int], most: int, padding: float = MOST_PADDING, spare: float = 0) -> list[slice]:
    """Which rows share a launch: neighbours of like width, as many as it may hold; padding stays a small share of it.

    Args:
        widths: tokens of each row, the widest first.
        most: tokens of a launch, padding included; a single row may have more.
        padding: share of a launch that may be padding.
        spare: tokens of a launch that may be padding in any case.
    """
    parts: list[slice] = []
    first = real = 0
    for place, width in enumerate(widths):
        padded = (place - first + 1) * widths[first]
        real += width
        if place > first and (padded > most or padded - real > max(spare, padding * padded)):
            parts.append(slice(first, place))
            first, real = place, width
    return [*parts, slice(first, len(widths))] if widths else []


@dataclass(frozen=True, slots=True)
class Answers:
    """Answer tokens that a forward pass predicts, over all repeats of its rows.

    Attributes:
        predicting: ``[u]`` places in ``b n`` whose final states predict an answer token.
        targets: the answer tokens.
        text: ``[e]`` for each answer token its text among the launch's.
        turn: ``[e]`` for each answer token its place in the answer.
        texts: number of texts over all repeats.
        turns: length of the longest answer.
    """

    predicting: Int[Tensor, " u"]
    targets: Targets
    text: Int[Tensor, " e"]
    turn: Int[Tensor, " e"]
    texts: int
    turns: int

    def to(self, device: torch.device) -> Answers:
        """The same tensors on another device.

        Args:
            device: where to.
        """
        if self.predicting.device == device:
            return self
        at, token = self.targets.at.to(device), self.targets.token.to(device)
        targets = Targets(at, token, self.targets.bounds)
        moved = (self.text.to(device), self.turn.to(device))
        return Answers(self.predicting.to(device), targets, *moved, self.texts, self.turns)

    def sums(self, token: Float64[Tensor, " e"]) -> Float64[Tensor, " texts"]:
        """Summed loss of each text from the losses of its tokens, added in the answer's order.

        Args:
            token: loss of each answer token.
        """
        table = token.new_zeros(self.texts, self.turns)
        return table.index_put((self.text, self.turn), token).sum(-1)


@dataclass(frozen=True, slots=True)
class Inputs:
    """Input tensors of a forward pass; ``r`` rows, ``n`` tokens, ``k`` constant keys, ``b = repeats * r``.

    Attributes:
        node: ``[r n]`` node of the trie of each token, 0 under padding, on the CPU.
        constant: ``[r k]`` node of the trie of each constant key, on the CPU.
        token: ``[r n]`` ids.
        depth: ``[r n]`` positions.
        sees: ``[r n k+n]`` which keys each token attends to.
        key_depth: ``[r k+n]`` positions of the keys.
        m1: ``[b n]`` factor of dW of each token as float64, 0 where it is not steered.
        m2: ``[b n]`` factor of db of each token as float64, 0 where it is not steered.
        steered: ``[b n]``.
        repeats: how often the rows are run.
        answers: which final states predict which tokens of which texts.
    """

    node: Int[Tensor, "r n"]
    constant: Int[Tensor, "r k"]
    token: Int[Tensor, "r n"]
    depth: Int[Tensor, "r n"]
    sees: Bool[Tensor, "r n t"]
    key_depth: Int[Tensor, "r t"]
    m1: FloatArray
    m2: FloatArray
    steered: Bool[Tensor, "b n"]
    repeats: int
    answers: Answers

    @property
    def acting(self) -> bool:
        """Whether any token has a nonzero strength."""
        return bool((self.m1 != 0).any() or (self.m2 != 0).any())


def inputs_of(launch: Launch, device: torch.device) -> Inputs:
    """The input tensors of a forward pass.

    Args:
        launch: what is run.
        device: where the model is.
    """
    rows, repeats = launch.rows, len(launch.strengths)
    n = max(len(row.node) for row in rows)
    k = max(len(row.constant) for row in rows)
    node, token, depth, slot = (_padded([getattr(row, name) for row in rows], n, fill) for name, fill in _FILLS)
    constant = _padded([row.constant for row in rows], k, 0)
    m = np.stack([_per_token(slot, strengths) for strengths in launch.strengths])  # [repeats r n 2]
    m = m.reshape(-1, n, 2)
    sees, key_depth = _seen(rows, n, k)
    return Inputs(
        node=torch.from_numpy(node),
        constant=torch.from_numpy(constant),
        token=torch.from_numpy(token).to(device),
        depth=torch.from_numpy(depth).to(device),
        sees=torch.from_numpy(sees).to(device),
        key_depth=torch.from_numpy(key_depth).to(device),
        m1=m[..., 0],
        m2=m[..., 1],
        steered=torch.from_numpy((m != 0).any(-1)).to(device),
        repeats=repeats,
        answers=_answers(rows, repeats, n, device),
    )


_FILLS = (("node", 0), ("token", 0), ("depth", 0), ("slot", -1))


def _padded(arrays: Sequence[IntArray], width: int, fill: int) -> IntArray:
    table = np.full((len(arrays), width), fill, dtype=np.int64)
    for i, values in enumerate(arrays):
        table[i, : len(values)] = values
    return table


def _per_token(slot: IntArray, strengths: Strengths) -> FloatArray:
    """Strength ``[r n 2]`` of each token, 0 where it is not steered."""
    values = np.array([*strengths, (0.0, 0.0)], dtype=np.float64)
    return values[slot]  # slot -1 is the last


def _seen(rows: Sequence[PackedRow], n: int, k: int) -> tuple[BoolArray, IntArray]:
    sees = np.zeros((len(rows), n, k + n), dtype=np.bool_)
    key_depth = np.zeros((len(rows), k + n), dtype=np.int64)
    sees[:, np.arange(n), k + np.arange(n)] = True  # padding sees itself
    for i, row in enumerate(rows):
        own, kept = len(row.node), len(row.constant)
        sees[i, :own, :kept] = row.sees[:, :kept]
        sees[i, :own, k : k + own] = row.sees[:, kept:]
        key_depth[i, :kept] = row.key_depth[:kept]
        key_depth[i, k : k + own] = row.key_depth[kept:]
    return sees, key_depth


def _answers(rows: Sequence[PackedRow], repeats: int, n: int, device: torch.device) -> Answers:
    """Which positions predict which answer tokens of which texts, over all repeats."""
    places, tokens, texts, turns, count = [], [], [], [], 0
    for i, row in enumerate(rows):
        places.append(i * n + row.at)
        tokens.append(row.target)
        texts.append(count + row.text)
        turns.append(np.arange(len(row.text)) - np.searchsorted(row.text, row.text))  # texts come in order
        count += len(row.members)
    place, token, text, turn = (np.concatenate(parts).astype(np.int64) for parts in (places, tokens, texts, turns))
    order = np.argsort(place, kind="stable")
    place, token, text, turn = (values[order] for values in (place, token, text, turn))
    shift = np.arange(repeats)[:, None]
    place = (place[None] + shift * (len(rows) * n)).ravel()
    text = (text[None] + shift * count).ravel()
    token, turn = np.tile(token, repeats), np.tile(turn, repeats)
    predicting, at = np.unique(place, return_inverse=True)
    bounds = np.searchsorted(at, np.arange(len(predicting) + 1))
    on = [torch.from_numpy(value).to(device) for value in (predicting, at, token, text, turn)]
    targets = Targets(on[1], on[2], tuple(bounds.tolist()))
    return Answers(on[0], targets, on[3], on[4], count * repeats, int(turn.max(initial=0)) + 1)
